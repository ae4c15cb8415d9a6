"""What the tests are built from: tiny models, rows, commands, a shared trained run, warm workers."""
