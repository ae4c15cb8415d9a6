"""The scorers: which answers are right, which are partly right, and the many wrong answers that look right."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from fractions import Fraction
from itertools import pairwise
from math import inf, nan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import swiftkit.scorers
from conftest import shared
from swiftkit import plugins
from swiftkit.errors import SwiftkitError
from swiftkit.scoring import markers, numeric, symbolic
from swiftkit.scoring.scorers import (
    COUNT_NAMES,
    Score,
    ans,
    ans_strict,
    check_plugin,
    course_base,
    course_tuned,
    reads_markers,
)

# (reference's value, response's value): the same value in another notation.
SAME = {
    "unchanged": [("78", "78"), ("0", "0"), ("-5", "-5"), ("0.5", "0.5"), ("007", "7"), ("+5", "5"), ("-0", "0")],
    "separators": [
        ("3,600", "3600"),
        ("1234567", "1,234,567"),
        ("3600", "3，600"),
        ("3600", "3\u202f600"),
        ("3600", "3\u00a0600"),
        ("1000000", "1\u2009000\u2009000"),
        ("3600", "3{,}600"),
        ("3600", r"3\,600"),
        ("1234.5", "1,234.50"),
    ],
    "decimals": [("0.5", ".5"), ("5", "5."), ("0.50", "0.5"), ("5", "5.000"), ("-0.5", "-.5"), ("2.50", "2.5")],
    "fractions": [
        ("1/2", "0.5"),
        ("0.5", "2/4"),
        ("1/2", r"\frac{1}{2}"),
        ("1/2", r"\dfrac12"),
        ("1/2", r"$\tfrac{1}{2}$"),
        ("1/2", "½"),
        ("1/3", "2/6"),
        ("-1/2", r"-\frac{1}{2}"),
        ("-1/2", r"\frac{-1}{2}"),
        ("3/4", "3 / 4"),
        ("3/4", "3⁄4"),
        ("0.75", "¾"),
        ("1/3", "三分之一"),
        ("3/5", "5分之3"),
        ("1000/3", "1,000/3"),
    ],
    "mixed numbers": [
        ("1.5", "1 1/2"),
        ("-1.5", "-1 1/2"),
        ("1.5", r"1 \frac{1}{2}"),
        ("1.5", r"1\frac{1}{2}"),
        ("1.5", "1½"),
        ("3/2", "1 ½"),
        ("2 1/3", "7/3"),
    ],
    "exponents": [
        ("1200", "1.2e3"),
        ("1200", "1.2E+3"),
        ("1200", "1.2×10^3"),
        ("1200", r"1.2 \times 10^{3}"),
        ("1200", r"1.2\cdot 10^3"),
        ("1200", "1.2×10³"),
        ("1200", "1.2 x 10^3"),
        ("0.0012", "1.2×10⁻³"),
        ("1000", "10^3"),
        ("1000", "10**3"),
        ("0.001", "1e-3"),
    ],
    "percent": [
        ("30%", "0.3"),
        ("0.3", "30%"),
        ("30%", "30 %"),
        ("30%", "30 percent"),
        ("30%", "30 per cent"),
        ("30%", r"30\%"),
        ("30%", "３０％"),
        ("30%", "3/10"),
        ("30%", "百分之三十"),
        ("30%", "百分之30"),
        ("141%", "1.41"),
        ("37.5%", "3/8"),
        ("30%", "30% of the cake"),
    ],
    "multipliers": [
        ("13.5 million", "13500000"),
        ("13500000", "13.5 Million"),
        ("4.5 million", "$4.5 million"),
        ("2 billion", "2,000,000,000"),
        ("300", "3 hundred"),
        ("3000", "3 thousand"),
        ("500000", "5 hundred thousand"),
        ("5000000", "5 millions"),
        ("500000", "1/2 million"),
        ("35000", "3.5万"),
        ("120000000", "1.2亿"),
        ("3000000", "3百万"),
        ("35000", "3.5 万元"),
        ("2 trillion", "2e12"),
    ],
    "Chinese numerals": [
        ("12", "十二"),
        ("20", "二十"),
        ("120", "一百二十"),
        ("102", "一百零二"),
        ("2005", "两千零五"),
        ("30000", "三万"),
        ("2024", "二〇二四"),
        ("2024", "二零二四年"),
        ("120000000", "一亿二千万"),
        ("3.5", "三点五"),
        ("-3", "负三"),
        ("0", "零"),
        ("5", "五个"),
    ],
    "full-width and typography": [
        ("78", "７８"),
        ("-5", "−5"),
        ("-5", "–5"),
        ("-5", "－５"),
        ("3.5", "３．５"),
        ("1/2", "１／２"),
        ("-5", "负5"),
        ("-5", "minus 5"),
        ("-5", "negative 5"),
        ("-5", "- 5"),
        ("12", "𝟏𝟐"),
    ],
    "wrappers": [
        ("78", "$78$"),
        ("78", r"\(78\)"),
        ("78", r"\[78\]"),
        ("78", r"\boxed{78}"),
        ("78", r"$\boxed{78}$"),
        ("78", r"\boxed{\text{78}}"),
        ("78", r"\text{78}"),
        ("78", "**78**"),
        ("78", "`78`"),
        ("78", '"78"'),
        ("78", "78."),
        ("78", "78。"),
        ("78", "{78}"),
        ("78", "**$78$**."),
        ("78", "78,"),
        ("0.5", r"$\boxed{\frac{1}{2}}$"),
    ],
    "currency": [
        ("5", "$5"),
        ("$5", "5"),
        ("5 dollars", "$5"),
        ("$5", "5 USD"),
        ("$5", r"\$5"),
        ("$5", r"$\$5$"),
        ("$5", "US$5.00"),
        ("$5", "5$"),
        ("-5", "-$5"),
        ("-5", "$-5"),
        ("5 dollars", "$5 dollars"),
        ("5元", "¥5"),
        ("5元", "￥5"),
        ("5 yuan", "5元"),
        ("5", "Rs. 5"),
        *[("$12", "($12)"), ("12", "(12)"), ("($12)", "12 dollars")],
        ("US$5", "$5"),
        ("5 US$", "US$5"),
        ("5 HKD", "HK$5"),
        ("5 rupees", "Rs 5"),
        ("€5", "5 euros"),
        ("£3,600", "3600 pounds"),
        ("$5 per hour", "5 dollars/hour"),
    ],
    "units": [
        ("42", "42 pages"),
        ("42 pages", "42"),
        ("1 page", "1 pages"),
        ("5 cm", "5cm"),
        ("5 cm", "5 CM"),
        ("5 cm", "5 centimeters"),
        ("5 meters", "5 metres"),
        ("5 km/h", "5 km / h"),
        ("5 km/h", "5 kilometers per hour"),
        ("5 m^2", "5 m²"),
        ("5 m^2", "5 square meters"),
        ("5 m²", "5 ㎡"),
        ("5 m2", "5 meters squared"),
        ("5 sq. ft.", "5 square feet"),
        ("30 °C", "30 degrees Celsius"),
        ("30°", "30 degrees"),
        ("30°", r"30^\circ"),
        ("6 feet", "6 foot"),
        ("6 inches", "6 inch"),
        ("3 boxes", "3 box"),
        ("3 children", "3 child"),
        ("3 people", "3 person"),
        ("3 men", "3 man"),
        ("3 women", "3 woman"),
        ("3 leaves", "3 leaf"),
        ("3 cookies", "3 cookie"),
        ("3 cherries", "3 cherry"),
        ("5 light years", "5 lightyears"),
        ("5 light-years", "5 light years"),
        ("1/2 cup", "0.5 cups"),
        ("3 apple(s)", "3 apples"),
        ("12 (apples)", "12 apples"),
        ("5个", "5 个"),
        ("5 L", "5 l"),
        ("5 g", "5 grams"),
        ("3 times a week", "3"),
        ("3 pairs", "3 pair"),
        ("5千米", "5"),
        ("5 hours", "5 hrs"),
        ("1.5 km", r"1.5\text{ km}"),
        ("5 cm^2", r"5\text{ cm}^2"),
        ("5 cm^2", r"5 \mathrm{~cm}^{2}"),
        ("5 m/s", r"5\,\mathrm{m}/\mathrm{s}"),
        *[("5 kg", "5千克"), ("5公斤", "5 千克"), ("5 kilograms", "5公斤"), ("5公里", "5千米"), ("5 km", "5 公里")],
        *[("5 m", "5米"), ("5 cm", "5厘米"), ("5 millimeters", "5毫米"), ("5 dm", "5分米"), ("5 g", "5克")],
        *[("5 t", "5吨"), ("5 L", "5升"), ("5 ml", "5毫升"), ("5 hours", "5小时"), ("5 h", "5时"), ("5分", "5 分")],
        *[("5 min", "5分钟"), ("5 seconds", "5秒"), ("1 day", "1天"), ("5 days", "5天"), ("30°", "30度")],
        *[("30 degrees", "30 度"), ("3 times", "3倍"), ("5 cm²", "5平方厘米"), ("5 m^3", "5立方米"), ("五米", "5 m")],
        *[("5 km/h", "5千米/时"), ("5千米/小时", "5 千米每小时"), ("5 kilometers per hour", "5公里/小时")],
        *[("30 °C", "30摄氏度"), ("30 deg C", "30 °C"), ("30 deg", "30 degrees"), ("3000 m", "三千米")],
        *[("5 gal", "5 gallons"), ("5 tbsp", "5 tablespoons"), ("1 tsp", "1 teaspoon"), ("5 qts", "5 quarts")],
        *[("5 pt", "5 pints"), ("5 pts", "5 points"), ("5ms", "5 milliseconds"), ("5 Hz", "5 hertz")],
        *[("5 ha", "5 hectares"), ("5KB", "5 kilobytes"), ("5 kWh", "5 kilowatt-hours"), ("5 kW h", "5 kWh")],
        *[("5 N", "5 newtons"), ("5 J", "5 joules"), ("60W", "60 watts")],
        *[("12 V", "12 volts"), ("5 W/m²", "5 W/m^2")],
        *[("12 years", "12 years old"), ("5 cookies", "5 cookies left"), ("$5", "$5 each"), ("5", "5 left")],
        *[("5 feet", "5 ft tall"), ("5 m", "5米"), ("5 miles", "5 miles away"), ("5 apples", "5 apples in total")],
        *[("5", "5 in all"), ("5 more apples", "5 more apples remaining")],
        *[("5 apples", "5 apples more"), ("5", "5 total")],
        *[("5 cups", "5 cups of flour"), ("20 students", "20 students in the class"), ("20", "20 in the class")],
        *[("5 in", "5 inches long"), ("5 inches", "5 in")],
        *[("$5 per day", "$5 a day"), ("3 times/week", "3 times a week")],
        *[("5 dollars an hour", "$5/hour"), ("5元每天", "5元/天"), ("5 sheets of the paper", "5 sheets")],
        ("30 °C", r"30^{\circ}\text{C}"),
    ],
    "text": [
        ("Monday", "monday"),
        ("Monday", " Monday. "),
        ("A", "A"),
        ("A", "**A**"),
        ("xyz", "xyz"),
        ("Tom and Ann", "tom  and Ann"),
        ("12 hours 30 minutes", "12 hours 30 minutes"),
        ("5, 6", "5,6"),
        ("10:30", "10:30"),
        ("3:4", "3：4"),
        ("星期一", "星期一"),
        *[
            ("3:4", "3 : 4"),
            ("3:4", "3∶4"),
            ("2, 3", "2、3"),
            ("2, 3", "2; 3"),
            ("2，3", "2、 3"),
            ("小明 5 岁", "小明5岁"),
        ],
        *[
            ("10:30 AM", "10:30 a.m."),
            ("5:00 PM", "5:00pm"),
            ("10:30 a.m.", "10:30am"),
            ("甲", "(甲)"),
            ("甲", "（甲）"),
        ],
        *[("8 ft 2 in", "8 feet 2 inches"), ("8 ft 2 in", "8 feet, 2 inches"), ("8ft 2in", "8 ft 2 in")],
        *[("2 hours 30 minutes", "2 hrs 30 mins"), ("2 hours 30 minutes", "2 hours and 30 minutes")],
        *[("2小时30分钟", "2 小时 30 分钟"), ("2小时30分钟", "2 h 30 min"), ("5 cats, 3 dogs", "5 cats and 3 dogs")],
        *[("1.5 cups 2 tbsp", "1.50 cups 2 tablespoons"), ("{1, 2}", r"\{1, 2\}"), (r"\{1,2\}", r"$\{1, 2\}$")],
        *[("∅", r"\emptyset"), (r"\varnothing", "∅")],
        *[(r"\emptyset", r"\varnothing"), ("(A)", "a"), ("2X+3", "2X + 3")],
        (">", ">"),
        ("yes", r"\text{Yes}"),
        ("1" * 250, "1" * 250),
    ],
    "symbols": [
        ("304π", r"304\pi"),
        ("304π", "304 pi"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
        ("sqrt(8)", "√8"),
        ("x+1", "1+x"),
        ("2x", "x*2"),
        ("x^2+x", "x(x+1)"),
        ("25", "5^2"),
        ("25", "5²"),
        ("1024", "2^10"),
        ("5", "x = 5"),
        ("x = 5", "5"),
        ("60", "12(5)"),
        ("954.56", "304*3.14"),
        ("7", "3+4"),
        ("x > 3", "3 < x"),
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
        ("[0, 1)", "[0,1)"),
        ("(5, ∞)", r"(5,\infty)"),
        (r"(-\infty, 5]", "(-∞,5]"),
        (r"[2, \infty)", r"\left[2, +\infty\right)"),
        ("∞", r"\infty"),
        ("x ≥ 3", r"x \geq 3"),
        ("x ≤ 3", r"x\leq3"),
        ("x ≠ 3", r"x \neq 3"),
        *[("36π", "36π cm²"), ("36π cm²", r"36\pi"), ("36π cm²", r"36\pi\text{ cm}^2"), ("36π m", "36 pi")],
        *[("36π平方厘米", "36π cm²"), (r"2\sqrt{3}", r"2\sqrt{3}\text{ cm}"), (r"2\sqrt{3} cm", "√12 centimeters")],
        *[("60 cm", "12(5) cm"), ("60", "12(5) cm"), (r"(\sqrt{2}+1) cm", r"1+\sqrt{2}"), ("2x cm", "2x")],
        *[("5 cm", "x = 5 cm"), ("x = 5 cm", "5"), ("5", "x=5")],
        *[("5", "= 5"), ("= 5", "5 cm"), ("3,600", "= 3600")],
        *[("x = 5", "x = 5"), ("x=5", "x = 5"), ("5cm", r"5~\text{cm}"), ("5 cm", r"5~\mathrm{cm}")],
        *[("3 + 5t", "5 t + 3"), ("x m", "m x"), (r"3 \sin t", r"3\sin(t)")],
        *[("2X+3", "3+2X"), ("V t + v", "v + t V")],
        ("x", "X"),
        ("120", "5!"),
    ],
}

# (reference's value, response's value): different values that look alike.
DIFFERENT = {
    "another number": [
        ("78", "79"),
        ("78", "178"),
        ("78", "7"),
        ("78", "7.8"),
        ("78", "-78"),
        ("0.1", "0.10000000001"),
    ],
    "separators": [
        ("360", "3,60"),
        ("123456", "1,23,456"),
        ("500", "0,500"),
        ("3.6", "3,6"),
        ("1234567", "1234,567"),
        ("3600", "3 600"),
        ("1.234", "1,234"),
        ("12345", "1,2345"),
        ("11", "5 6"),
        ("56", "5 6"),
    ],
    "fractions": [
        ("1/3", "0.333333"),
        ("0.333", "1/3"),
        ("1", "1/2"),
        ("2", "1/2"),
        ("1/0", "2/0"),
        ("0", "1/0"),
        ("5.5", "11/2/1"),
        ("11/2", "1/2"),
        ("11/2", "1½"),
        ("1", "1½"),
        ("52", "5²"),
        ("52", "5₂"),
        ("5", "5₂"),
        ("1", "①"),
        ("3", "三分之一"),
        ("1.5", "1 3/2"),
    ],
    "exponents": [
        ("1.2", "1.2e3"),
        ("10", "10^3"),
        ("1.2", "1.2×10^3"),
        ("1", "1e999999999"),
        ("0", "1e-999999999"),
        ("2", "2^10"),
        ("210", "2^10"),
        ("9", "9**9**9**9"),
    ],
    "percent": [
        ("30%", "30"),
        ("30", "30%"),
        ("30%", "0.3%"),
        ("30%", "3%"),
        ("0.3", "0.3%"),
        ("30", "百分之30"),
        ("30", "百分之三十"),
        ("100", "百分之三十"),
        ("5", "5‰"),
        *[("5%", "5 percent points"), ("5%", "5 percentage points")],
        *[("5%", "5% points"), ("5", "5 bp"), ("5", "5 bps")],
        ("30", "3成"),
        ("8", "8折"),
    ],
    "multipliers": [
        ("13.5", "13.5 million"),
        ("5", "5k"),
        ("5", "5 K"),
        ("5", "5M"),
        ("5", "5 B"),
        ("5", "5bn"),
        ("5", "5 mln"),
        ("5", "5 dozen"),
        ("5", "5 gross"),
        *[("5", "5 sixteenths"), ("5", "5 twelfths"), ("5", "5 elevenths")],
        *[("5", "5 twentieths"), ("5", "5 score")],
        *[("5", "5 tenths of a mile"), ("5", "5 dozen eggs in the box"), ("5", "5 dozen of eggs")],
        ("60", "6 dozen"),
        ("5", "5 lakh"),
        ("5", "5 tens"),
        ("5", "5 hundredths"),
        ("5", "5 millionths"),
        ("5", "5 per thousand"),
        ("3", "3 quarters"),
        ("3", "3 halves"),
        ("3", "3 thirds"),
        ("3.5", "3.5万"),
        ("3", "3千"),
        ("3", "3百"),
        ("3", "3打"),
        ("3", "3 and a half"),
        ("3", "三个半"),
        ("20", "20多"),
    ],
    "Chinese numerals": [
        ("2", "十二"),
        ("10", "十二"),
        ("3", "三万"),
        ("100", "一百二十"),
        ("1", "一样多"),
        ("102", "一百二"),
        ("30005", "三万五"),
        ("3", "三又二分之一"),
        ("12", "十二点三十"),
    ],
    "more than one number": [
        ("30", "12 hours 30 minutes"),
        ("12", "12 hours 30 minutes"),
        ("5", "5 and 6"),
        ("6", "5 and 6"),
        ("3", "3 to 4"),
        ("4", "3 to 4"),
        ("3", "3-4"),
        ("5", "5 or 6"),
        ("5", "5, 6"),
        ("5", "5 apples and 3"),
        ("3", "5 apples and 3"),
        ("8", "5 apples and 3"),
        ("5", "5 (6)"),
        ("5", "5; 6"),
        ("5", "5 plus one"),
        ("5", "5 twenty"),
        ("20", "20 five"),
        *[("5", "5 of 6"), ("5", "5 out of 6"), ("5", "5 of the six")],
        *[("5", "5 in the first 3"), ("5", "5 of one dozen")],
    ],
    "times, ratios, dates": [
        ("10", "10:30"),
        ("30", "10:30"),
        ("0.75", "3:4"),
        ("2024", "2024-05-06"),
        ("2013", "2024-05-06"),
        ("2024", "6/5/2024"),
        ("6", "6/5/2024"),
        ("1.2", "1.2.3"),
        ("0.3333", "0.333..."),
    ],
    "letters are not units": [
        ("3", "3x"),
        ("2", "2pi"),
        ("2", "2π"),
        ("2", r"2\pi"),
        ("3", "3xy"),
        ("3", "3 x"),
        ("2", "2e"),
        ("2", "2i"),
        ("2", "2 sqrt"),
        ("2", "2sin"),
        ("2", "2 log"),
        ("2", "2 inf"),
        ("7", "7 mod"),
        ("2", "2 n"),
        ("5", "x5"),
        ("5", "H5"),
        ("2.718281828459045", "e"),
        ("3.141592653589793", r"\pi"),
        ("5", "5^x"),
        ("5", "5!"),
        ("5", "5'"),
        ("17", "12(5)"),
    ],
    "units differ": [
        ("5 m", "5 cm"),
        ("5 cm", "5 mm"),
        ("$5", "5 euros"),
        ("US$5", "€5"),
        ("$5", "HK$5"),
        ("$5", "5 apples"),
        ("5 m", "5 m^2"),
        ("5 km/h", "5 km"),
        ("5 °C", "5 °F"),
        ("5 apples", "5 oranges"),
        ("5 hours", "5 minutes"),
        ("5 am", "5 pm"),
        ("5个", "5元"),
        ("5千米", "5米"),
        ("100 cm", "1 m"),
        ("$1", "100 cents"),
        *[("5千克", "5克"), ("5公斤", "5斤"), ("5公里", "5 m"), ("5米", "5千米"), ("5分", "5 min"), ("5分", "5分米")],
        *[("5平方厘米", "5 cm"), ("5平方厘米", "5立方厘米"), ("5千米/时", "5 m/s"), ("5毫升", "5 L"), ("3倍", "3度")],
        *[("5小时", "5 min"), ("5天", "5 hours"), ("30摄氏度", "30 °F"), ("3千米", "3 m"), ("3千", "3")],
        *[("5 pt", "5 pts"), ("5 tbsp", "5 tsp"), ("5 qt", "5 gal")],
        *[("5 ms", "5 m/s"), ("5 ms", "5 s"), ("5 kW", "5 W")],
        *[("5 kWh", "5 kW"), ("5 KB", "5 MB"), ("5 N", "5 J"), ("5 W", "5 V"), ("5 Hz", "5 h"), ("5 n", "5")],
        *[("12 years old", "12 days old"), ("5 cups of flour", "5 spoons of flour"), ("$5 each", "5 euros each")],
        *[("$5 a day", "$5 a week"), ("5 inches", "5 feet in the box"), ("5 a", "5"), ("5 am", "5 in the morning")],
        *[("5 in the morning", "5 in the evening"), ("5 left turns", "5 right turns")],
    ],
    "text": [
        ("Monday", "Tuesday"),
        ("A", "B"),
        ("yes", "no"),
        ("Monday", "Monday or Tuesday"),
        ("5", "five apples"),
        ("no", "not"),
        *[("10:30 AM", "10:30 PM"), ("10:30", "10:30 AM"), ("3:4", "4:3")],
        *[("3:4", "34"), ("3 4", "34"), ("甲", "乙")],
        *[("2、3", "3、2"), ("2、3", "23"), ("小明 5 岁", "小明 6 岁"), ("{1, 2}", "{1, 3}"), ("(1, 2)", "{1, 2}")],
        *[("8 ft 2 in", "8 ft 3 in"), ("8 ft 2 in", "8 m 2 in"), ("8 ft 2 in", "8 ft"), ("8 ft 2 in", "2 in 8 ft")],
        *[("2 hours 30 minutes", "2 hours 30 seconds"), ("2 hours 30 minutes", "30 minutes 2 hours")],
        *[
            ("2小时30分钟", "2小时30分"),
            ("2小时30分钟", "2小时"),
            ("5 cats 3", "5 cats 3 dogs"),
            ("5 cats", "5 cats 3 dogs"),
        ],
        *[("3 x 4 y", "3 z 4 y"), ("-5 ft 2 in", "5 ft 2 in"), ("∅", "0"), (r"\emptyset", r"\{0\}")],
        *[(r"\frac{12}{3}ab", r"\frac{1}{23}ab"), ("小明 5 6", "小明 56"), ("1,234", "1; 234"), ("1, 2", "1.2")],
        ("1", "x"),
        ("2, 4, 8", "8, 4, 2"),
        ("1" * 250, "1" * 249),
        ("5", "approximately 5"),
        ("5", "about 5"),
        ("5", "≈5"),
        ("5", "not 5"),
        *[("5", "5 not"), ("5", "5 wrong"), ("5", "5 less")],
        *[("5", "5 approx"), ("5", "5 more than"), ("$5", "$5 less")],
    ],
    "symbols": [
        ("304π", "304"),
        ("304π", "955.04"),
        (r"\sqrt{2}", "1.41421356237309504880"),
        ("x+1", "x+2"),
        ("x = 5", "y = 5"),
        ("x = 5", "6"),
        ("10", "2x = 10"),
        ("6", "2+3=6"),
        ("x > 3", "x > 4"),
        ("x > 3", "3"),
        ("1 < 2", "3 < 4"),
        ("(1, 2)", "(2, 1)"),
        ("(5, ∞)", r"[5, \infty)"),
        ("(5, ∞)", r"(6, \infty)"),
        ("(5, ∞)", r"(-\infty, 5)"),
        (r"\infty", r"-\infty"),
        (r"\infty", "5"),
        *[("36π cm²", "36π cm"), ("36π cm²", "36 cm²"), ("36π", "36π x")],
        *[("36π cm²", "36π m²"), ("36π", "35π cm²")],
        *[("60 cm", "12(5) m"), ("2x", "2x m"), ("8", "3 + 5 t"), ("36π", "36π dozen"), ("36π", "36π cm or 5")],
        *[("5 cm", "x = 5 m"), ("5", "x = 6 cm"), ("x = 5", "= 6")],
        *[("x = 5", "y = 5 cm"), ("5", "x ≥ 5"), ("5", "2x = 5")],
        *[("2X+3", "2x+3"), ("2X", "2x"), ("A/B", "a/B"), ("X-x", "0")],
        *[("V t + v", "v t + V"), ("x X", "x^2"), ("5", "~5"), ("x", "x y")],
        ("x ≥ 3", r"x \leq 3"),
        ("x ≥ 3", "x > 3"),
        (r"x \geq 3", "3"),
        ("5 M", "5 m"),
        ("x", "y"),
    ],
}


def metadata(in_marker: bool, answer_correct: bool) -> dict[str, bool]:
    """The metadata of a score by `ans` and `ans_strict`."""
    return {"in_marker": in_marker, "answer_correct": answer_correct}


def table(groups: dict[str, list[tuple[str, str]]]) -> list[object]:
    return [pytest.param(*pair, id=f"{name}: {pair}"[:80]) for name, pairs in groups.items() for pair in pairs]


@pytest.mark.parametrize(("reference", "response"), table(SAME))
def test_the_same_value_is_right_in_either_marker(reference: str, response: str) -> None:
    steps = "Some steps: 1 + 2 = 3.\n\n"
    score = ans.score(f"So it is {{{{ans:{response}}}}}.", f"{steps}{{{{ans:{reference}}}}}")
    assert score == Score(1, "right", (response.strip(),), metadata(True, True))
    if ">" not in response + reference:
        assert ans.score(f"<<ans: {response} >>", f"{steps}<<ans:{reference}>>").value == 1
    assert numeric.equal(reference, response)


@pytest.mark.parametrize(("reference", "response"), table(DIFFERENT))
def test_another_value_is_wrong_both_ways(reference: str, response: str) -> None:
    for right, wrong in ((reference, response), (response, reference)):
        score = ans.score(f"{{{{ans:{wrong}}}}}", f"{{{{ans:{right}}}}}")
        assert score.value == 0
        assert score.explanation.startswith(("another value: ", "unit differs: "))


# (text, contents of its markers without placeholders)
MARKERS = [
    ("{{ans:5}}", ["5"]),
    ("<<ans:5>>", ["5"]),
    ("{{ ans : 5 }}", ["5"]),
    ("<< ans：5>>", ["5"]),
    ("{{\u3000ans:\t5\u00a0}}", ["5"]),
    ("a {{ans:5}} b <<ans:6>> c", ["5", "6"]),
    (r"{{ans:\frac{1}{2}}}", [r"\frac{1}{2}"]),
    (r"{{ans:\{1, 2\}}}", [r"\{1, 2\}"]),
    ("{{ans:{{5}}}}", ["{{5}}"]),
    ("{{{ans:5}}}", ["5"]),
    ("{{ans:5}}}", ["5"]),
    ("**{{ans:47}}**", ["47"]),
    ("<<ans:x>3>>", ["x>3"]),
    ("{{ans:x}}", ["x"]),
    ("{{ans:5", []),
    ("{{ans:5}", []),
    ("{{ans:5} }", []),
    ("{{ans:5>>", []),
    ("<<ans:5}}", []),
    ("{{ans:5\n}}", []),
    ("{{ans:5\r}}", []),
    ("{{ans:\n5}}", []),
    ("{{ans:5 {{ans:6}}", ["6"]),
    ("<<ans:5 {{ans:6}}", ["6"]),
    ("{{ans:<<ans:6>>", ["6"]),
    ("{{ans 5}}", []),
    ("{{answer:5}}", []),
    ("{ans:5}", []),
    ("<ans:5>", []),
    ("<<48/2=24>>24", []),
    ("{{5}}", []),
    ("no marker", []),
    ("", []),
    *[
        (f"{{{{ans:{placeholder}}}}} then {{{{ans:5}}}}", ["5"])
        for placeholder in (
            *("", " ", "xxx", "XXX", "xx", "...", "…", "___", "_____", "?", "？？", "value", "Answer", "number"),
            *("your answer", "the final answer", "Final Answer", "result", "<value>", "[answer]", "<your answer here>"),
            *("numeric value", "insert answer here", "$xxx$", "**xxx**", r"\boxed{}", r"\ldots", "答案", "最终答案"),
        )
    ],
    *[
        (f"{{{{ans:{content}}}}}", [content])
        for content in (">", "<", "=", "+", "-", "x", "X", "n", "0", "no", "N/A", "$")
    ],
    ("<think>{{ans:4}}</think>{{ans:5}}", ["5"]),
    ("<think>a</think>{{ans:4}}<think>{{ans:5}}</think>{{ans:6}}", ["4", "6"]),
    ("{{ans:4}}<think>{{ans:5}}", ["4"]),
    ("<think>{{ans:4}}", []),
    ("{{ans:4}}</think>{{ans:5}}", ["4", "5"]),
    ("{{ans:<think>4</think>5}}", []),
    ("<think>a<think>b</think>{{ans:4}}</think>", ["4"]),
]


@pytest.mark.parametrize(("text", "contents"), MARKERS)
def test_markers(text: str, contents: list[str]) -> None:
    assert markers.find_markers(text) == contents


# (reference, response, value, explanation)
RULE = [
    # the first marker counts
    ("{{ans:5}}", "{{ans:5}} or rather {{ans:6}}", 1, "right"),
    ("{{ans:5}}", "{{ans:6}} or rather {{ans:5}}", 0, "another value: 6"),
    ("{{ans:5}}", "{{ans:xxx}} is the form. {{ans:5}}", 1, "right"),
    ("{{ans:5}}", "<think>Is it {{ans:6}}?</think>It is {{ans:5}}.", 1, "right"),
    ("{{ans:5}}", "<think>It is {{ans:5}}", 0, "no answer"),
    ("<think>{{ans:4}}</think>{{ans:5}}", "{{ans:5}}", 1, "right"),
    # if the marker holds another value, the text is not considered
    ("{{ans:5}}", "{{ans:6}}, that is 5", 0, "another value: 6"),
    ("{{ans:5 cm}}", "{{ans:5 mm}}", 0, "unit differs: mm, not cm"),
    # GSM8K's references
    ("a = <<2*3=6>>6\n#### 72", "{{ans:72}}", 1, "right"),
    ("#### 6\n#### 1,080", "{{ans:1080}}", 1, "right"),
    ("#### Solution\nSteps.\n#### 72", "{{ans:72}}", 1, "right"),
    ("#### 6\n{{ans:72}}", "{{ans:72}}", 1, "right"),
    # without a marker, the last number of the text counts
    ("{{ans:5}}", "The answer is 5.", 0.5, "no marker, but the last number is right"),
    ("{{ans:5}}", "5", 0.5, "no marker, but the last number is right"),
    ("{{ans:5}}", "The answer is 6.", 0, "no marker, and the last number is 6"),
    ("{{ans:5}}", "5, no, 6", 0, "no marker, and the last number is 6"),
    ("{{ans:5}}", "Five.", 0, "no marker"),
    ("{{ans:5}}", "", 0, "no answer"),
    ("{{ans:5}}", " \n ", 0, "no answer"),
    ("{{ans:5}}", "It is {{ans:5", 0.5, "no marker, but the last number is right"),
    ("{{ans:5}}", "It is 5. {{ans:xxx}}", 0.5, "no marker, but the last number is right"),
    ("{{ans:5}}", "<think>5</think>Hm.", 0, "no marker"),
    ("{{ans:5}}", "<think>6</think>5", 0.5, "no marker, but the last number is right"),
    ("{{ans:5}}", "It is 5.<think>6</think>", 0.5, "no marker, but the last number is right"),
    ("{{ans:5 cm}}", "It is 5 mm.", 0.5, "no marker, but the last number is right"),
    ("{{ans:x}}", "It is 5.", 0, "no marker, and the last number is 5"),
    ("{{ans:30%}}", "It is 30.", 0, "no marker, and the last number is 30"),
    ("#### 72", "#### 72", 0.5, "no marker, but the last number is right"),
    # several references: all of them, in order
    ("{{ans:4}} {{ans:6}}", "{{ans:4}} {{ans:6}}", 1, "right"),
    ("{{ans:4}} {{ans:6}}", "{{ans:4}} {{ans:6}} {{ans:7}}", 1, "right"),
    ("{{ans:4}} {{ans:6}}", "{{ans:6}} {{ans:4}}", 0, "answer 1 of 2: another value: 6"),
    ("{{ans:4}} {{ans:6}}", "{{ans:4}} {{ans:7}}", 0, "answer 2 of 2: another value: 7"),
    ("{{ans:4}} {{ans:6}}", "{{ans:4}} and 6", 0, "1 marker of 2"),
    ("{{ans:4}} {{ans:6}}", "4 and 6", 0, "no marker"),
    ("{{ans:47}} {{ans:47}}", "{{ans:47}}", 0, "1 marker of 2"),
    ("{{ans:1}} {{ans:2}} {{ans:3}}", "<<ans:1>> <<ans:2>>", 0, "2 markers of 3"),
]


@pytest.mark.parametrize(("reference", "response", "value", "explanation"), RULE)
def test_the_rule(reference: str, response: str, value: float, explanation: str) -> None:
    score = ans.score(response, reference)
    assert (score.value, score.explanation) == (value, explanation)


def test_of_a_truncated_response_only_markers_count() -> None:
    explanation = "truncated at the token limit"
    assert ans.score("It is 5", "{{ans:5}}", truncated=True) == Score(0, explanation, (), metadata(False, False))
    assert ans.score("It is {{ans:5}} because", "{{ans:5}}", truncated=True).value == 1
    assert ans.score("{{ans:5}}", "{{ans:5}} {{ans:6}}", truncated=True) == Score(
        0, explanation, ("5",), metadata(False, False)
    )


# (free text, the last number that it states)
STATED = [
    ("The answer is 78.", "78"),
    ("78 pages, not 79 pages", "79"),
    ("so 3,600.", "3600"),
    ("so 3,600, as said", "3600"),
    ("It costs $1,234.50.", "1234.5"),
    ("**5**", "5"),
    ("_5_", "5"),
    (r"$x = 5$", "5"),
    (r"$\boxed{5}$", "5"),
    (r"so $\frac{1}{2}$.", "1/2"),
    ("so 3/4 of it", "3/4"),
    ("so 1 1/2 cups", "3/2"),
    ("so 1½ cups", "3/2"),
    ("48/2 = 24", "24"),
    ("about 30%", "3/10"),
    ("about 30 percent of it", "3/10"),
    (r"about 30\%", "3/10"),
    ("约百分之30", "3/10"),
    ("13.5 million yuan", "13500000"),
    ("3.5万元", "35000"),
    ("1.2 × 10^3 in all", "1200"),
    ("1e3", "1000"),
    ("是５个", "5"),
    ("共5个苹果。", "5"),
    ("答案：３，６００。", "3600"),
    ("It is -5.", "-5"),
    ("It is −5.", "-5"),
    ("(-5)", "-5"),
    ("-$5", "-5"),
    ("$-5", "-5"),
    ("negative 5", "-5"),
    ("it is minus 5", "-5"),
    ("10 minus 5", "5"),
    ("5-3", "3"),
    ("x-3", "3"),
    ("(2)-3", "3"),
    ("- 5", "5"),
    ("3–5", "5"),
    ("= 5cm", "5"),
    ("= 5 cm", "5"),
    ("60km/h", "60"),
    (".5", "1/2"),
    ("5 - 3 = 2; done", "2"),
    ("5 and x1", "5"),
    ("5 of H2O", "5"),
    ("5 and 3x", "5"),
    ("5 on the 3rd day", "5"),
    ("5 and x^2", "5"),
    ("5 and x_1", "5"),
    ("5 and x_{12}", "5"),
    ("5 and 10^{-x}", "10"),
    ("5 and e^{-2}", "5"),
    ("5 and v1.5", "5"),
    ("5 and 7k", "5"),
    ("11 quarters", "11"),
    ("十二", None),
    ("none", None),
    ("at 10:30", None),
    ("so 3,60", None),
    ("so 1,23,456", None),
    ("so 1.2.3", None),
    ("so 2^10", None),
    ("so 5 dozen", None),
    ("so 5 and a half", None),
    ("so 5 hundredths", None),
    ("so 5 M", None),
    ("so 1/0", None),
    ("so 1e999999999", None),
    ("9" * 5000, None),
]


@pytest.mark.parametrize(("text", "number"), STATED)
def test_the_last_number_of_a_text(text: str, number: str | None) -> None:
    assert numeric.last_number(text) == (None if number is None else Fraction(number))


@pytest.mark.parametrize(
    ("reference", "answer", "tolerance", "same"),
    [
        ("3.14", "3.14", 0, True),
        ("3.14", "3.141", 0, False),
        ("100", "101", 0.01, True),
        ("100", "101.0001", 0.01, False),
        ("100", "99", 0.01, True),
        ("-100", "-101", 0.01, True),
        ("0.1", "0.11", 0.1, True),
        ("0", "0.0001", 0.5, False),
        ("1/3", "0.333333", 1e-5, True),
        ("1/3", "0.333333", 1e-7, False),
        ("Monday", "Tuesday", 0.9, False),
    ],
)
def test_the_tolerance_is_relative_to_the_reference_and_exact(
    reference: str, answer: str, tolerance: float, same: bool
) -> None:
    assert numeric.equal(answer, reference, tolerance) == same
    assert (ans.score(f"{{{{ans:{answer}}}}}", f"{{{{ans:{reference}}}}}", tolerance=tolerance).value == 1) == same


def test_the_tolerance_applies_to_the_last_number_too() -> None:
    assert ans.score("so 101", "{{ans:100}}", tolerance=0.01).value == 0.5
    assert ans.score("so 102", "{{ans:100}}", tolerance=0.01).value == 0


@pytest.mark.parametrize("text", ["1e400", "10^400", "-1e400"])
def test_large_numbers_are_exact(text: str) -> None:
    value = numeric.parse(text)
    assert value and abs(value.number) == 10**400


@pytest.mark.parametrize(
    "text", ["9" * 5000, "1e99999", "10^99999", "1" + ",000" * 2000, "1/" + "9" * 5000, "一" * 5000]
)
def test_a_number_that_is_too_large_is_compared_as_text(text: str) -> None:
    assert numeric.parse(text) is None
    assert numeric.equal(text, text)
    assert not numeric.equal(text, "1")


# References

REFERENCES = [
    ("So {{ans:5}} and <<ans:6>>", ["5", "6"]),
    ("{{ans: 670}}", ["670"]),
    ("<<2+3=5>>5\n#### 5", ["5"]),
    ("#### 1,080", ["1,080"]),
    ("#### $5", ["$5"]),
    ("####5", ["5"]),
    ("#### 4\n#### 5\n", ["5"]),
    ("#### 5\n#### Notes", ["5"]),
]


@pytest.mark.parametrize(("reference", "answers"), REFERENCES)
def test_references(reference: str, answers: list[str]) -> None:
    assert markers.references(reference) == answers
    ans.check(reference)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("", "no marker"),
        ("The result is 78.", "no marker"),
        ("so {{ans:78", "no marker"),
        ("#### Notes", "no marker"),
        ("<think>{{ans:5}}</think>", "no marker"),
        ("{{ans:}}", "holds nothing"),
        ("{{ans: }}", "holds nothing"),
        ("{{ans:xxx}}", "placeholder 'xxx'"),
        ("<<ans:your answer>>", "placeholder 'your answer'"),
        ("{{ans:5}} and {{ans:}}", "holds nothing"),
        ("{{ans:}}\n#### 5", "holds nothing"),
    ],
)
def test_references_without_an_answer_are_refused(reference: str, reason: str) -> None:
    for check in (markers.references, ans.check, ans_strict.check):
        with pytest.raises(ValueError, match=reason):
            check(reference)


# Echoes of the question

QUESTION = "A box holds 12 eggs.\nTom has 25 boxes, like {{ans:7}} or {{ans:xxx}}. How many eggs are in 25 boxes?"
ECHOES = [
    # (response, reference, value, explanation)
    (QUESTION, "{{ans:25}}", 0, "only repeats the question"),
    (QUESTION, "{{ans:7}}", 0, "only repeats the question"),
    (QUESTION.replace("\n", "  "), "{{ans:25}}", 0, "only repeats the question"),
    ("Tom has 25 boxes", "{{ans:25}}", 0, "only repeats the question"),
    (QUESTION + "\n" + QUESTION, "{{ans:7}}", 0, "only repeats the question"),
    (QUESTION[:60], "{{ans:7}}", 0, "only repeats the question"),
    (QUESTION + " 300", "{{ans:300}}", 0.5, "no marker, but the last number is right"),
    (QUESTION + " So {{ans:300}}", "{{ans:300}}", 1, "right"),
    (QUESTION + " So {{ans:7}}", "{{ans:7}}", 1, "right"),
    (QUESTION + " I do not know.", "{{ans:25}}", 0, "no marker"),
    (QUESTION[:60] + " is what they say. {{ans:300}}", "{{ans:300}}", 1, "right"),
    (QUESTION[:60] + " is what they say. Hm.", "{{ans:7}}", 0, "no marker"),
    ("<think>Hm.</think>" + QUESTION, "{{ans:7}}", 0, "only repeats the question"),
    ("25", "{{ans:25}}", 0.5, "no marker, but the last number is right"),
    ("25 boxes", "{{ans:25}}", 0.5, "no marker, but the last number is right"),
    ("It is {{ans:7}}", "{{ans:7}}", 1, "right"),
]


@pytest.mark.parametrize(("response", "reference", "value", "explanation"), ECHOES)
def test_an_echo_of_the_question_is_ignored(response: str, reference: str, value: float, explanation: str) -> None:
    score = ans.score(response, reference, question=QUESTION)
    assert (score.value, score.explanation) == (value, explanation)
    assert ans.done(response, reference, QUESTION) == (len(score.answer) == 1 and value != 0.5)


MULTIPLE_CHOICE = "Is it <<ans:10>> or <<ans:11>>?"


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<<ans:10>>", "10"),
        ("<<ans:11>>", "11"),
        ("<<ans:10>> or <<ans:11>>", "10"),
        ("or <<ans:11>>", "11"),
        ("It is <<ans:11>>.", "11"),
        ("Is it <<ans:10>>", None),
        ("Is  it\n<<ans:10>> or <<ans:11>>", None),
        ("it <<ans:10>> or <<ans:11>>", "10"),
        (MULTIPLE_CHOICE, None),
        (MULTIPLE_CHOICE + " <<ans:10>>", "10"),
    ],
)
def test_a_marker_of_the_question_may_be_the_answer(response: str, answer: str | None) -> None:
    assert ans.score(response, "<<ans:10>>", question=MULTIPLE_CHOICE).value == (answer == "10")
    assert ans.score(response, "<<ans:11>>", question=MULTIPLE_CHOICE).value == (answer == "11")
    assert ans.done(response, "<<ans:10>>", MULTIPLE_CHOICE) == (answer is not None)


def test_a_longer_number_is_not_an_echo_of_a_shorter_one() -> None:
    assert ans.score("What is 12 + 13? 25", "{{ans:25}}", question="What is 12 + 13?").value == 0.5
    assert ans.score("12 + 135", "{{ans:5}}", question="12 + 13").value == 0


# Stopping


def test_generation_may_stop_when_the_last_marker_closes() -> None:
    reference = "{{ans:5}} {{ans:6}}"
    assert not ans.done("{{ans:5}} {{ans:xxx}} {{ans:7}", reference)
    assert ans.done("{{ans:5}} {{ans:xxx}} {{ans:7}}", reference)
    assert not ans.done("<think>{{ans:5}} {{ans:6}}", reference)
    assert ans.done("<<ans:9>>", "#### 5")


@pytest.mark.parametrize("text", [text for text, contents in MARKERS if contents])
def test_only_a_closing_character_completes_a_marker(text: str) -> None:
    for before, after in pairwise(range(len(text) + 1)):
        if ans.done(text[:after], "{{ans:5}}") and not ans.done(text[:before], "{{ans:5}}"):
            assert text[before] in ans.CLOSERS


# Properties

SETTINGS = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
TWO_OR_FIVE = st.sampled_from([1, 2, 4, 5, 8, 10, 20, 25, 50, 100, 1000])
NUMBERS = st.builds(Fraction, st.integers(-(10**7), 10**7), TWO_OR_FIVE)
ANY_TEXT = st.text(max_size=80) | st.lists(
    st.sampled_from(
        [
            "{{ans:",
            "}}",
            "<<ans:",
            ">>",
            "{{",
            "{",
            "}",
            "5",
            "25",
            "xxx",
            " ",
            "\n",
            "<think>",
            "</think>",
            "<thi",
            "nk>",
            *[
                r"\frac{1}{2}",
                "%",
                "$",
                "-",
                "/",
                "^",
                ",",
                ".",
                "the answer",
                "½",
                "三",
                "万",
                "９",
                "million",
                "cm",
                "x",
            ],
        ]
    ),
    max_size=14,
).map("".join)


def decimal(number: Fraction) -> str:
    """The decimal form of `number`, which must be finite."""
    digits = next(d for d in range(20) if (number * 10**d).denominator == 1)
    whole = str(abs(int(number * 10**digits))).rjust(digits + 1, "0")
    text = f"{whole[: len(whole) - digits]}.{whole[len(whole) - digits :]}" if digits else whole
    return ("-" if number < 0 else "") + text


def group_digits(text: str, separator: str) -> str:
    """A decimal with a separator between groups of three digits."""
    whole, point, rest = text.partition(".")
    sign, whole = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    groups = []
    while len(whole) > 3:
        groups.insert(0, whole[-3:])
        whole = whole[:-3]
    return sign + separator.join([whole, *groups]) + point + rest


@st.composite
def notations(draw: st.DrawFn, number: Fraction) -> str:
    """`number` in one of its usual notations."""
    plain = decimal(number)
    integer = number.denominator == 1
    forms = [
        plain,
        group_digits(plain, ","),
        group_digits(plain, "\u202f"),
        plain + ("" if integer else "0"),
        plain + (".00" if integer else "000"),
        decimal(number * 100) + draw(st.sampled_from(["%", " %", " percent", r"\%"])),
        f"{number.numerator * 3}/{number.denominator * 3}",
        rf"\frac{{{number.numerator}}}{{{number.denominator}}}",
        f"{decimal(number / 1000)}e3",
        rf"{decimal(number / 100)} \times 10^{{2}}",
        f"{decimal(number / 10**6)} million",
        f"{decimal(number / 10**4)}万",
    ]
    if abs(number) > 1 and not integer:
        whole, rest = divmod(abs(number), 1)
        forms.append(f"{'-' if number < 0 else ''}{whole} {rest.numerator}/{rest.denominator}")
    text = draw(st.sampled_from(forms))
    if draw(st.booleans()):
        text = "".join(chr(ord(char) + 0xFEE0) if char.isdigit() and char.isascii() else char for char in text)
    if draw(st.booleans()) and not text.startswith("\\"):
        text = text.replace("-", "−")
    return text


@st.composite
def marked_answers(draw: st.DrawFn, number: Fraction) -> str:
    """`number` in a marker, with white space, wrappers, a currency sign or a unit."""
    text = draw(notations(number))
    text = draw(
        st.sampled_from(["{}", "{}", "${}$", "**{}**", r"\boxed{{{}}}", "{}.", "$ {}", "{} apples", "{} 个"])
    ).format(text)
    left, right = (
        draw(st.sampled_from(["{{ans:", "{{ ans : ", "<<ans:", "<< ans：", "{{ans:  "])),
        draw(st.sampled_from(["", " "])),
    )
    return left + text + right + ("}}" if left[0] == "{" else ">>")


@SETTINGS
@given(NUMBERS.flatmap(lambda n: st.tuples(st.just(n), marked_answers(n))))
def test_the_notation_of_a_number_does_not_matter(drawn: tuple[Fraction, str]) -> None:
    number, response = drawn
    for reference in (f"{{{{ans:{decimal(number)}}}}}", f"#### {decimal(number)}"):
        answer = tuple(markers.find_markers(response))
        assert ans.score(response, reference) == Score(1, "right", answer, metadata(True, True))
    assert ans.score(f"<<ans:{decimal(number)}>>", response).value == 1


@SETTINGS
@given(
    st.tuples(NUMBERS, NUMBERS).flatmap(
        lambda pair: st.tuples(st.just(pair), marked_answers(pair[0]), marked_answers(pair[1]), notations(pair[1]))
    )
)
def test_another_number_is_never_right(drawn: tuple[tuple[Fraction, Fraction], str, str, str]) -> None:
    (right, wrong), reference, response, unmarked = drawn
    assume(right != wrong)
    assert ans.score(response, reference).value == 0
    assert ans.score(f"The answer is {unmarked}.", reference).value == 0
    assert ans.score(f"First {decimal(right)}, then {unmarked}.", reference).value == 0


@SETTINGS
@given(NUMBERS.flatmap(lambda n: st.tuples(st.just(n), notations(n))))
def test_the_last_number_is_parsed_in_every_notation(drawn: tuple[Fraction, str]) -> None:
    number, text = drawn
    assert numeric.last_number(f"First 17, then {text}.") == number


@SETTINGS
@given(
    st.lists(ANY_TEXT | NUMBERS.map(decimal) | NUMBERS.flatmap(marked_answers), min_size=1, max_size=6),
    NUMBERS,
    st.data(),
)
@example(["{{ans:5}}", " is the form, as said"], Fraction(5), None)
def test_repeating_the_question_scores_zero(pieces: list[str], number: Fraction, data: st.DataObject | None) -> None:
    question = " ".join([*pieces, f"Tom has {decimal(number)} apples: {{{{ans:{decimal(number)}}}}}?"])
    assume("<think>" not in question)
    numbers = [found for piece in pieces if (found := numeric.last_number(piece)) is not None] + [number]
    start = data.draw(st.integers(0, len(question) - 12)) if data else 0
    first = markers._non_placeholder(question[start:])[:1]
    if first and len(" ".join(question[start : start + first[0].start].split())) < 12:
        start = 0  # a marker of the question at the start of the response may be the answer
    end = data.draw(st.integers(start + 12, len(question))) if data else len(question)
    for response in (question, f"  {question}\n", question.replace(" ", "\n "), question * 2, question[start:end]):
        assume(len(" ".join(response.split())) >= 12)
        for value in numbers:
            reference = f"{{{{ans:{value}}}}}"
            assert ans.score(response, reference, question=question).value == 0
            assert not ans.done(response, reference, question)


@SETTINGS
@given(
    st.lists(ANY_TEXT | NUMBERS.flatmap(marked_answers), max_size=5).map("".join),
    st.text(max_size=20) | ANY_TEXT,
    st.sampled_from(["{{ans:5}}", "{{ans:25}} {{ans:1/2}}", "#### 5"]),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
)
@example("{{ans:5}}", " is the form, as said", "{{ans:5}}", 1, False)
@example("{{ans:5}}<thi", "nk></think>", "{{ans:5}}", 2, False)
def test_stopping_when_done_does_not_change_the_score(
    response: str, more: str, reference: str, question_kind: int, truncated: bool
) -> None:
    question = ["", response + more, response][question_kind]
    for end in range(len(response) + 1):
        prefix = response[:end]
        if ans.done(prefix, reference, question):
            score = ans.score(prefix, reference, question=question, truncated=truncated)
            assert ans.score(response, reference, question=question) == score
            assert ans.score(prefix + more, reference, question=question) == score
            assert ans.done(prefix + more, reference, question)
            return
    assert not ans.done(response, reference, question)


@SETTINGS
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, st.booleans())
def test_no_text_makes_a_scorer_raise(text: str, question: str, content: str, truncated: bool) -> None:
    for response in (text, f"{{{{ans:{text}}}}}", f"<<ans:{content}>>"):
        for reference in ("{{ans:5}}", "{{ans:x+1}}", f"{{{{ans:5}}}} {{{{ans:{content}}}}}"):
            try:
                markers.references(reference)
            except ValueError:
                continue
            for scorer in (ans, ans_strict, course_base, course_tuned):
                score = scorer.score(response, reference, question=question, truncated=truncated)
                assert score.value in (0, 0.5, 1)
                assert score.explanation


@pytest.mark.parametrize(
    "text",
    [
        "{{ans:" * 20000,
        "{" * 50000,
        "<think>" * 20000,
        "1," * 30000,
        "1/" * 30000,
        "1 " * 30000,
        "9" * 100000,
        "-" * 50000,
        *["{{ans:" + "{" * 50000 + "}}", "$" * 50000, "{{ans:" + "$5" * 20000 + "}}", " " * 50000 + "5", "½" * 20000],
        "{{ans:" + r"\frac" * 100 + "}}",
        "{{ans:" + r"\pi" * 60 + "%}}",
        "1" + " million" * 5000,
        "{{ans:1" + "万" * 190 + "}}",
        "{{ans:" + "(" * 190 + "}}",
        "{{ans:" + "9" * 180 + "^9}}",
        "{{ans:5" + "\u0301" * 9000 + "}}",
    ],
    ids=range(20),
)
def test_long_texts_do_not_hang(text: str) -> None:
    assert ans.score(text, "{{ans:5}}", question="How many?" * 100).value in (0, 0.5)


@pytest.mark.parametrize(
    "text", ["1," * 95 + "1", "1/" * 95 + "2", "1 a " * 45 + "1", "1x" * 95 + "1", "三 " * 95 + "a"]
)
def test_long_lists_do_not_hang(text: str) -> None:
    assert not numeric.equal(text, "5 ft 2 in")
    assert not numeric.equal(f"36π {text}", "36π cm")


# The process of math-verify


def test_a_formula_that_times_out_is_not_equal_and_does_not_affect_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    assert symbolic.equal("x+1", "1+x")
    first = symbolic._process._child
    monkeypatch.setattr(symbolic, "TIMEOUT_S", 0.5)
    assert not symbolic.equal("9^{9^{9^{9}}}", "1")
    assert first and first.poll() is not None
    monkeypatch.undo()
    assert symbolic.equal("x+1", "1+x")
    assert symbolic._process._child is not first


def test_formulas_are_compared_from_any_thread() -> None:
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda n: symbolic.equal(f"x+{n % 3}", "1+x"), range(24)))
    assert verdicts == [n % 3 == 1 for n in range(24)]


@pytest.mark.parametrize(
    "text",
    [
        "12 hours 30 minutes",
        "5 apples and 3",
        "5 6",
        "3,60",
        "1/0",
        "5_2",
        "5'",
        "1.2.3",
        "1 < 2",
        "2^3^4",
        "ab",
        "(5",
        "5%",
        *["2024-05-06", "10:30", r"\text{x}", r"\input{x}", "$x$", "1, 2", "x" + "+x" * 200, "5^(2", ""],
    ],
)
def test_text_that_is_not_a_formula_as_a_whole_is_refused(text: str) -> None:
    assert symbolic.to_latex(text) is None or not symbolic.equal(text, "5")
    if text not in ("(5", ""):
        assert symbolic.to_latex(text) is None


def test_without_math_verify_formulas_are_compared_as_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    broken = tmp_path / "math_verify.py"
    broken.write_text("raise ImportError('no antlr')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    monkeypatch.setattr(symbolic, "_process", symbolic._Process())
    with caplog.at_level(logging.WARNING):
        assert not symbolic.equal("x+1", "1+x")
        assert not symbolic.equal("x+1", "1+x")
    assert [record.getMessage() for record in caplog.records] == [
        "formulas are compared as text only: math-verify: ImportError: no antlr"
    ]
    assert numeric.equal("x+1", "x+1")


def test_the_process_ends_with_its_parent_and_the_parent_imports_nothing_heavy() -> None:
    code = (
        "import sys; from swiftkit.scoring import numeric, symbolic; print(numeric.equal('x+1', '1+x'));"
        "print(symbolic._process._child.pid); print(sorted({'sympy', 'math_verify'} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    same, pid, heavy = process.stdout.splitlines()
    assert (same, heavy, process.stderr) == ("True", "[]", "")
    assert not psutil.pid_exists(int(pid))


# The other scorers, and real data


def test_strict_is_the_same_rule_without_partial_scores() -> None:
    assert ans_strict.score("It is 5.", "{{ans:5}}") == Score(
        0, "no marker, but the last number is right", ("5",), metadata(False, True)
    )
    assert ans_strict.score("{{ans:5}}", "{{ans:5}}").value == 1
    assert ans_strict.score("{{ans:6}}", "{{ans:5}}") == ans.score("{{ans:6}}", "{{ans:5}}")
    assert ans_strict.done("{{ans:6}}", "{{ans:5}}")


def test_the_two_rules_of_the_course_are_those_of_its_notebook() -> None:
    content = json.loads(shared("data/course_cases.json").read_text(encoding="utf-8"))
    cases = content["cases"] + content["extra"]
    assert len(cases) == 26
    for case in cases:
        for scorer, name in ((course_base, "baseline"), (course_tuned, "tuned")):
            score = scorer.score(case["response"], case["reference"])
            assert score.value == case[name], case["name"]
            assert score.answer in ((), (case["slice"],), (case["value"],))
    for exam in content["marks"]:
        for scorer, name in ((course_base, "baseline"), (course_tuned, "tuned")):
            total = sum(scorer.score(response, exam["reference"]).value for response in exam["responses"])
            assert total == exam[f"{name}_score"]


def test_every_scorer_is_found_by_its_name() -> None:
    assert {"ans", "ans_strict", "course_base", "course_tuned"} <= set(plugins.names("scorers"))
    for name in plugins.names("scorers"):
        score = plugins.get("scorers", name)("{{ans:5}}", "{{ans:5}}", question="", truncated=False, tolerance=0)
        assert isinstance(score, Score)
        assert score.value == 1


def test_every_reference_of_the_course_is_right_as_a_response() -> None:
    not_numeric = []
    for line in shared("data/acp_train_1k.jsonl").read_text(encoding="utf-8").splitlines():
        *_, question, reference = json.loads(line)["messages"]
        text = reference["content"]
        assert ans.score(text, text, question=question["content"]).value == 1, text
        not_numeric += [content for content in markers.references(text) if numeric.parse(content) is None]
    assert not_numeric == ["304π"]


def test_every_reference_of_gsm8k_is_a_number() -> None:
    for line in shared("data/gsm8k_train_4000.jsonl").read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["answer"]
        (answer,) = markers.references(text)
        value = numeric.parse(answer)
        assert value and value.unit == ""
        assert ans.score(f"So {{{{ans:{answer}}}}}.", text).value == 1
        assert ans.score(f"{{{{ans:{value.number + 1}}}}}", text).value == 0
        assert ans.score(text, text).value == 0.5  # its calculations <<2*3=6>> are not markers


@pytest.mark.parametrize(
    ("response", "in_marker", "answer_correct"),
    [
        ("{{ans:5}}", True, True),
        ("{{ans:6}} or 5", True, False),
        ("It is 5.", False, True),
        ("It is 6.", False, False),
        ("", False, False),
    ],
)
def test_metadata_separates_format_from_correctness(response: str, in_marker: bool, answer_correct: bool) -> None:
    for scorer in (ans, ans_strict):
        assert scorer.score(response, "<<ans:5>>").metadata == metadata(in_marker, answer_correct)
    assert "in_marker" not in course_base.score(response, "{{ans:5}}").metadata
    assert "answer_correct" not in course_base.score(response, "{{ans:5}}").metadata


# The protocol of a scorer


def test_the_counts_of_each_scorer_are_declared() -> None:
    assert ans.COUNTS == ans_strict.COUNTS == COUNT_NAMES
    assert (course_base.COUNTS, course_tuned.COUNTS) == (("right",), ("right", "partial"))
    assert [name for name in ("ans", "ans_strict", "course_base", "course_tuned") if reads_markers(name)] == [
        "ans",
        "ans_strict",
    ]


def test_a_score_becomes_plain_json() -> None:
    content = asdict(ans.score("It is 5.", "{{ans:5}}"))
    assert json.loads(json.dumps(content)) == {
        "value": 0.5,
        "explanation": "no marker, but the last number is right",
        "answer": ["5"],
        "metadata": {"in_marker": False, "answer_correct": True},
    }
    assert swiftkit.scorers.Score is Score


@pytest.mark.parametrize("name", ["ans", "ans_strict", "course_base", "course_tuned"])
def test_every_scorer_passes_its_check(name: str) -> None:
    check_plugin(name)


def register(monkeypatch: pytest.MonkeyPatch, score: Any, **attributes: Any) -> None:
    """Make `custom` the name of a scorer with these attributes."""
    scorer = SimpleNamespace(__name__="custom", score=score, **attributes)
    module = plugins.module
    monkeypatch.setattr(plugins, "module", lambda kind, name: scorer if name == "custom" else module(kind, name))


@pytest.mark.parametrize("value", [0, 0.0, 0.7, 1 / 3, 1, 1.0])
def test_a_scorer_may_give_any_value_from_0_to_1(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, lambda *_, **__: Score(value, "similar"), EXAMPLES=[("a", "b", value)])
    check_plugin("custom")
    assert not reads_markers("custom")


def test_a_scorer_may_declare_counts_of_its_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = ("right", "partial", "in_marker")
    score = Score(1, "right", metadata={"in_marker": True})
    register(monkeypatch, lambda *_, **__: score, EXAMPLES=[("a", "b", 1)], COUNTS=counts)
    check_plugin("custom")
    assert reads_markers("custom")


@pytest.mark.parametrize(
    ("result", "attributes", "message"),
    [
        (Score(1, "right"), {"EXAMPLES": None}, "EXAMPLES is not a list of"),
        (Score(1, "right"), {"EXAMPLES": []}, "EXAMPLES is not a list of"),
        (Score(1, "right"), {"EXAMPLES": [("a", "b")]}, "EXAMPLES is not a list of"),
        (Score(1, "right"), {"EXAMPLES": [("a", 7, 1)]}, "EXAMPLES is not a list of"),
        (Score(0, "wrong"), {}, "scores 0, but EXAMPLES has 1"),
        *[(Score(value, "?"), {}, "has no value in") for value in (-0.1, 1.1, nan, inf, None, "1")],
        (Score(1, ""), {}, "has no explanation"),
        (Score(1, "right", answer=["7"]), {}, "answer that is not a tuple of strings"),  # type: ignore[arg-type]
        (1, {}, "not a Score"),
        (None, {}, "not a Score"),
        (Score(1, "right", metadata=None), {}, "has metadata that is not a dictionary"),  # type: ignore[arg-type]
        (Score(1, "right"), {"COUNTS": ("right", "wrong")}, "COUNTS is .* not a tuple of names out of right, partial"),
        (Score(1, "right"), {"COUNTS": "right"}, "COUNTS is 'right'"),
        (Score(1, "right"), {"COUNTS": ("in_marker",)}, "has no `in_marker` in its metadata"),
        (ZeroDivisionError("by 0"), {}, "makes it raise ZeroDivisionError: by 0"),
    ],
)
def test_the_check_names_the_rule_that_a_scorer_breaks(
    result: Any, attributes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(response: str, reference: str, *, question: str, truncated: bool, tolerance: float) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    register(monkeypatch, score, **{"EXAMPLES": [("a", "b", 1)], **attributes})
    with pytest.raises(SwiftkitError, match=message):
        check_plugin("custom")
