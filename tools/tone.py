"""Rows of the data sets `style-sft`, which teaches a tone, and `prefs`, pairs of a good and a bad answer.

A style row is a message to a small shop and the reply of the one who looks after its customers. There is no right
answer; what is alike in all of them is the voice: a name, thanks that take up what was said, plain words in short
sentences, one thing that happens next, and the same signature.

A preference row is a word problem of `problems.py`, solved as `math-sft` solves it and once more with a fault.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

import problems
from problems import Problem
from rapidfuzz import fuzz, process

ALIKE = 95  # two messages are too alike from this likeness on, of 100 (rapidfuzz's ratio)
NEAR = 90  # a word problem is too near to one of an exam from this likeness on
SIGNATURE = "– Robin, Juniper Supplies"


def alike(text: str, others: Sequence[str], least: int) -> bool:
    """Whether one of the others is at least so much like the text."""
    return process.extractOne(text, others, scorer=fuzz.ratio, score_cutoff=least) is not None


# --- a tone: what the messages and the replies are put together from --------------------------------------------------


class Thing(str):
    """A noun; `{thing.a}` says it with its article."""

    @property
    def a(self) -> str:
        return f"{'an' if self[0] in 'aeiou' else 'a'} {self}"


class Day(str):
    """A day of the week; `{day.open}` says when the shop is open."""

    @property
    def open(self) -> str:
        return "open from ten to four" if self == "Saturday" else "open from nine to six"


THINGS = ["bread bin", "coat rack", "cushion", "desk lamp", "door mat", "egg timer", "enamel jug", "fruit bowl"]
THINGS += ["lantern", "oil lamp", "picture frame", "plant pot", "serving tray", "teapot", "umbrella stand"]
THINGS += ["wall clock", "watering can", "wool blanket"]
FRAGILE = ["fruit bowl", "glass jug", "lantern", "milk jug", "mug", "oil lamp", "plant pot", "sugar bowl", "teapot"]
WEAR = ["apron", "cardigan", "dressing gown", "fleece jacket", "jumper", "linen shirt", "raincoat", "waistcoat"]
FITS = [("too small", 1), ("too tight", 1), ("too big", -1), ("too wide", -1)]
SIZES = ["small", "medium", "large", "extra large"]
COLOURS = ["black", "blue", "brown", "dark green", "grey", "red", "white", "yellow"]
KIN = ["aunt", "best friend", "brother", "cousin", "daughter", "father", "grandmother", "mother", "sister", "son"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October"]
STREETS = ["Linden Street", "Harbour Lane", "Station Road", "Mill Hill", "Orchard Way", "Church Street", "Park Road"]
FIRMS = ["Blue Door Studio", "Hartley Gardens", "Lindqvist Design", "Novak and Daughters", "Two Rivers Printing"]
CODES = ["SPRING10", "MAY15", "HELLO10", "THANKYOU5", "JUNIPER15", "SUMMER20", "NEWS10"]
COUNTRIES = ["Austria", "Belgium", "Croatia", "Denmark", "Finland", "Greece", "Ireland", "Norway", "Poland", "Portugal"]
SURNAMES = ["Costa", "Hansen", "Keller", "Lindqvist", "Moreau", "Novak", "Okafor", "Rossi", "Tanaka", "Walsh"]


def words(r: random.Random) -> dict[str, str]:
    """What the names in braces stand for in one message and its reply.

    `{day}` and `{date}` are past, `{soon}` is to come; `{other}` is a second thing, `{shade}` a second colour, `{m}` a
    second person. Who wears a size `{had}` that is `{fit}` needs `{want}`.
    """
    n, m = r.sample(problems.SHE + problems.HE, 2)
    thing, other = r.sample(THINGS, 2)
    colour, shade = r.sample(COLOURS, 2)
    day, soon = r.sample(DAYS, 2)
    fit, step = r.choice(FITS)
    had = r.randrange(3) if step > 0 else r.randrange(1, 4)
    return {
        "n": n,
        "surname": r.choice(SURNAMES),
        "m": m,
        "thing": Thing(thing),
        "other": Thing(other),
        "fragile": Thing(r.choice(FRAGILE)),
        "damage": r.choice(["broken", "chipped", "cracked"]),
        "wear": Thing(r.choice(WEAR)),
        "fit": fit,
        "had": Thing(SIZES[had]),
        "want": Thing(SIZES[had + step]),
        "colour": colour,
        "shade": shade,
        "order": f"JS-{r.randint(10000, 99999)}",
        "day": day,
        "soon": Day(soon),
        "date": f"{r.randint(1, 28)} {r.choice(MONTHS)}",
        "kin": r.choice(KIN),
        "amount": f"€{r.randint(12, 89)}.{r.choice(['00', '50', '90'])}",
        "street": f"{r.randint(2, 98)} {r.choice(STREETS)}",
        "firm": r.choice(FIRMS),
        "code": r.choice(CODES),
        "country": r.choice(COUNTRIES),
    }


@dataclass(frozen=True)
class Subject:
    """Why people write, and what they are told.

    Attributes:
        asks: what they write, and what they are thanked for. Those that begin with a small letter are typed in haste.
        says: what the reply says to it.
        steps: what happens next.
        mood: how they greet and sign.
    """

    asks: dict[str, str]
    says: tuple[str, ...]
    steps: tuple[str, ...]
    mood: str = "asking"


OPENINGS = {
    "asking": ("", "", "", "Hello! ", "Hi there! ", "Good morning. ", "Hi Robin!\n", "Dear Juniper team,\n"),
    "glad": ("", "", "Hello! ", "Hi Robin! ", "Dear all,\n"),
    "cross": ("",),
}
ENDS = {
    "asking": ("", "", " Thank you!", "\nThanks, {n}", "\nBest wishes\n{n}", "\n{n}", "\nKind regards, {n} {surname}"),
    "glad": ("", "\n{n}", "\nBest wishes, {n}", "\nAll the best\n{n} {surname}"),
    "cross": ("", "\n{n}", "\n{n} {surname}"),
    "haste": ("", "", " - {n}"),
}
# Who has said the one is not asked for it in the words of the other.
REQUESTS = {"order": "order number", "street": "new address"}

SUBJECTS = {
    "late parcel": Subject(
        {
            "My parcel {order} was due on {day} and still isn't here. Do you know where it is?": "waiting since {day}",
            "I ordered {thing.a} on {date} and it has not arrived. The order number is {order}.": (
                "telling me that your {thing} has not arrived"
            ),
            "I'm getting a bit worried. I ordered {thing.a} for my {kin} on {date}, and the birthday is on {soon}. "
            "Nothing has come so far.": "telling me about the birthday on {soon}",
            'Could you please find out what happened to order {order}? The tracking page has said "on its way" since '
            "{day}.": "keeping an eye on the tracking page",
            "My {kin} sent me {thing.a} from your shop on {date}, and nothing has come so far. The number on the "
            "receipt is {order}. Should I just wait a little longer?": "sending me the number from the receipt",
            "where is my {thing}?? should of been here {day}": "asking about your {thing}",
            "parcel {order} still not here, any news": "asking after your parcel",
            "still waiting for my {thing}, orderd on {date}, getting a bit impatient": "waiting since {date}",
            "havent recieved my {thing} yet and its been weeks": "letting me know about your {thing}",
        },
        (
            "It should have been with you by now, and I am sorry that it is not.",
            "I know how long a wait can feel, and I am sorry about this one.",
            "You have been patient long enough, and I am sorry.",
        ),
        (
            "I will ask the carrier about {order} today and write to you by noon tomorrow.",
            "I will trace {order} this afternoon, and you will hear from me tonight.",
            "Please send me your order number, and I will ask the carrier today.",
            "Just reply with your order number, and I will find out where your parcel is.",
        ),
    ),
    "not at the door": Subject(
        {
            "The tracking says that {order} was delivered on {day}, but there was nothing at my door. What can I do?": (
                "telling me that nothing was at your door"
            ),
            "Apparently my {thing} was handed over on {day}. Nobody in the house has seen it, and I have asked all the "
            "neighbours.": "asking all the neighbours first",
            "I just got a message that my {thing} had been delivered. I was at home all day and nobody rang. My order "
            "number is {order}.": "telling me that nobody rang",
            "Order {order} is marked as signed for by someone called {m}. I don't know anyone of that name. Can you "
            "help?": "telling me about the name on the slip",
            "says deliverd but i dont have it. order {order}": "telling me about {order}",
            "tracking says my {thing} came on {day}, it didnt!": "telling me that nothing came on {day}",
            "it says left in safe place. what safe place? looked everywere for my {thing}": (
                "looking everywhere for your {thing}"
            ),
        },
        (
            "That is a strange one, and I am sorry for the worry.",
            "Parcels do go to the wrong door now and then, and I am sorry if yours did.",
            "That must be frustrating, and I am sorry.",
        ),
        (
            "I will ask the driver today where {order} was left, and write to you by noon tomorrow.",
            "I will start a search for {order} with the carrier now and write to you again tomorrow.",
            "Please send me your order number, and I will ask the driver where the parcel was left.",
            "Just reply with your order number, and I will start a search with the carrier today.",
        ),
    ),
    "wrong size": Subject(
        {
            "The {wear} I ordered is {fit}. Can I swap the {had} for {want.a}? The order is {order}.": (
                "telling me how the {wear} fits"
            ),
            "I bought {wear.a} in {had} on {date}, and it is {fit} for me. Could I have it in {want} instead?": (
                "trying on the {wear} and letting me know"
            ),
            "The {wear} was a present for my {kin}, who usually takes {want}. I picked {had}, and now it's {fit}. Can "
            "I still change it?": "choosing a present for your {kin} here",
            "Your size chart said {had}, so I took {had}, but the {wear} is clearly {fit}. I would like to exchange it "
            "for {want.a}.": "telling me about the size chart",
            "wrong size :( the {wear} is {fit}, i need {want.a}": "telling me about the {wear}",
            "can i change {order} for {want.a}? its {fit}": "sending the order number along",
            "ordered {had} but need {want}, how do i swap the {wear}": "telling me which size you need",
        },
        (
            "Of course you can swap it.",
            "Sizes are hard to judge from a picture, so swapping is easy here.",
            "That is quickly put right.",
        ),
        (
            "I will email you a return label for {order} today, and the {want} leaves as soon as the {had} is back.",
            "I will put {want.a} aside for {order} now and email you a return label.",
            "Please look out for my email today: it brings a return label for {order}.",
            "Please send me your order number, and I will email you a return label.",
            "Just reply with your order number, and I will put {want.a} aside for you.",
        ),
    ),
    "mix-up": Subject(
        {
            "I ordered a {colour} {thing} and you sent me a {shade} one. The order number is {order}.": (
                "telling me about the {shade} {thing}"
            ),
            "There has been a mix-up. In my parcel was {other.a} instead of the {thing} I had ordered.": (
                "telling me about the mix-up"
            ),
            "The {thing} that came on {day} is lovely, but it's {shade}, and I chose {colour} to match the rest of the "
            "room. Can we change that?": "telling me about your room",
            "Someone else's order must have ended up in my box: I found {other.a} and no {thing}. My order was "
            "{order}.": "being so honest about the {other}",
            "got a {shade} {thing}, orderd {colour}": "telling me about the colour",
            "wrong thing in parcel {order}!! i wanted {thing.a} not {other.a}": "telling me what was in the parcel",
            "this isnt what i ordered... {other} instead of {thing}": "telling me about the {other}",
        },
        (
            "That was our mistake, and I am sorry.",
            "We must have reached for the wrong shelf, and I am sorry.",
            "That should not have happened, and I am sorry.",
        ),
        (
            "I will pack the right {thing} for {order} today, with a return label for the other one in the box.",
            "Please keep the parcel as it is; I will email you a free return label for {order} today.",
            "Please send me your order number, and I will pack the right {thing} today.",
            "Just reply with your order number, and I will email you a free return label.",
        ),
    ),
    "broken": Subject(
        {
            "My {fragile} arrived {damage} today. The order number is {order}. How do I get a new one?": (
                "telling me about the {damage} {fragile}"
            ),
            "I was so looking forward to the {fragile}, and when I opened the box on {day} it was {damage}. It was "
            "meant for my {kin}.": "telling me about the present for your {kin}",
            "The box looked fine, but the {fragile} inside was {damage}. I can send you photos if that helps.": (
                "offering to send photos"
            ),
            "I don't want to make a fuss, but the {fragile} from order {order} is {damage}. Perhaps it needs a bit "
            "more paper around it next time.": "the tip about the paper",
            "{fragile} came {damage} :(": "telling me about the {fragile}",
            "order {order} arrived broken, need a new one pls": "telling me about {order}",
            "my {fragile} is {damage} allready, had it 2 days!!": "telling me so soon",
        },
        (
            "What a shame, and I am sorry.",
            "You should have a whole one, and I am sorry.",
            "That is a pity, and I am sorry for the trouble.",
        ),
        (
            "I will pack a new one for {order} today, in more paper this time.",
            "Please send me a photo, and I will pack a new one for {order}.",
            "Please send me a photo and your order number, and I will pack a new one.",
            "Just reply with your order number and a photo, and I will see to a new one today.",
        ),
    ),
    "something missing": Subject(
        {
            "I ordered {thing.a} and {other.a}, but only the {thing} was in the box. My order number is {order}.": (
                "telling me about the {other}"
            ),
            "The {other} is missing from my parcel. Is it coming separately?": "asking about the {other}",
            "I have just unpacked everything twice. The {thing} is here, the {other} is not, although both are on the "
            "delivery note.": "unpacking everything twice",
            "According to the slip in the box, my {other} was packed on {day}. I can't find it anywhere, not even "
            "under the paper. The order is {order}.": "looking under the paper too",
            "only got half my order, wheres the {other}": "telling me about the {other}",
            "parcel {order} came but no {other} in it": "looking through the parcel",
            "did u forget something? no {other} in the box": "noticing that the {other} is missing",
        },
        (
            "It may well have stayed on our table, and I am sorry.",
            "You should have everything you paid for, and I am sorry.",
            "We must have been in too much of a hurry, and I am sorry.",
        ),
        (
            "I will look for the {other} on our packing table today and send it after {order}.",
            "I will check {order} against our list now, and you will hear from me by noon tomorrow.",
            "Please send me your order number, and I will look for the {other} today.",
            "Just reply with your order number, and I will check our packing table.",
        ),
    ),
    "invoice": Subject(
        {
            "Could you send me an invoice for order {order}? I need it for my tax return.": (
                "telling me what you need it for"
            ),
            "I bought {thing.a} on {date} and can't find the invoice in my emails. Could you send it again?": (
                "looking through your emails first"
            ),
            "The invoice for {order} is made out to me, but it should be made out to my company, {firm}. Could you "
            "change that, please?": "giving me the name of your company",
            "Our accounts department needs the invoice for a purchase of {amount} on {date}. It was paid for by {m} "
            "{surname}.": "the amount and the date",
            "need invoice for {order} asap": "sending the order number along",
            "no invoice in the parcel, can u email it": "telling me that the invoice is missing",
            "is there a pdf invoice for my {thing}": "asking about the invoice for your {thing}",
        },
        (
            "Paperwork should be easy.",
            "That is quickly done.",
            "It is no trouble at all.",
        ),
        (
            "You will find the right PDF for {order} in your inbox by tonight.",
            "I will see to the invoice for {order} now and email it to you today.",
            "Please send me your order number, and I will email you the PDF today.",
            "Just reply with your order number, and the invoice will be in your inbox by tonight.",
        ),
    ),
    "new address": Subject(
        {
            "I have just moved. Please send order {order} to {street} instead of my old address.": (
                "sending me your new address"
            ),
            "I made a mistake when I ordered: the house number is wrong. It should be {street}. Is it too late to "
            "change that?": "catching the wrong house number",
            "We are moving on {soon}, and I'm not sure whether the {thing} will come before that. Could it go to "
            "{street}?": "thinking of it before you move",
            "I will be staying with my {kin} until the end of the month. Can {order} go there? The address is "
            "{street}.": "telling me where you will be",
            "need to change adress for {order}, now {street}": "telling me about the address",
            "can you deliver my {thing} to my work instead": "telling me where you would like your {thing}",
            "i put my old adress by accident, should be {street}": "spotting the old address",
            "moving house on {soon}, can u change the address for {order}": "telling me about your move",
        },
        (
            "That is easy as long as the parcel is still here.",
            "We can change it as long as the parcel has not left.",
            "There is nothing to it while the parcel is still with us.",
        ),
        (
            "I will put {street} on {order} now and confirm it by email.",
            "I will write {street} on the label of {order} and send you a note when it is done.",
            "Please send me your order number, and I will put {street} on the label.",
            "Just reply with your order number, and I will change it to {street} right away.",
            "Please send me your order number and the new address, and I will change the label.",
            "Just reply with the new address and your order number, and I will see to it now.",
            "Please send me the new address, and I will put it on {order}.",
            "Just reply with the new address, and I will change the label of {order}.",
        ),
    ),
    "opening hours": Subject(
        {
            "Are you open on {soon}? I would like to come by and look at {thing.a}.": "planning to visit us",
            "I would like to collect order {order} in person. Is somebody there on {soon}?": (
                "planning to collect it yourself"
            ),
            "My {kin} and I will be in town on {soon} and would love to see your shop. When do you open?": (
                "wanting to bring your {kin} along"
            ),
            "I came by on {day} at half past six and the door was locked. When are you there?": (
                "coming by on {day}, and I am sorry about the locked door"
            ),
            "I have never been to your shop, and {soon} would suit me well. How long are you open?": (
                "wanting to come for the first time"
            ),
            "opening hours?": "asking about our opening hours",
            "what time do u close on {soon}": "asking about {soon}",
            "are you open sundays": "asking before you set out",
            "how late are you there on a {soon}, i finish work at 2": "wanting to come after work",
        },
        (
            "On {soon} we are {soon.open}.",
            "We are {soon.open} on {soon}.",
            "We are open from nine to six on weekdays and from ten to four on Saturdays, and closed on Sundays.",
            "Our hours are nine to six on weekdays and ten to four on Saturdays; on Sundays we are closed.",
        ),
        (
            "Tell me when you are coming, and I will have a cup of tea ready.",
            "Just ring the bell at the green door when you are here.",
            "Write to me before you set out, and I will keep an eye on the door.",
        ),
    ),
    "discount code": Subject(
        {
            "The code {code} from your newsletter doesn't work. The page says that it is not valid. What am I doing "
            "wrong?": "reading our newsletter",
            "I have tried {code} three times with {thing.a} in the basket, and each time the price stays at {amount}. "
            "Has the code run out?": "trying three times",
            "My {kin} gave me the code {code}, but the shop won't take it. Can only one person use it?": (
                "telling me where the code came from"
            ),
            "I was about to order {thing.a} and {other.a} with the code {code}, but there is no field for it on my "
            "phone.": "telling me how the page looks on your phone",
            "discount code {code} not working": "sending me the code",
            "{code} says expired but your email came today??": "telling me about the email",
            "why cant i use {code} on the {thing}": "asking about {code}",
        },
        (
            "A code should simply work, and I am sorry.",
            "Codes can be fussy, and I am sorry about this one.",
            "I am sorry that it held you up.",
        ),
        (
            "I will check {code} today and write to you by this evening.",
            "Please send me a picture of the page, and I will find out what is wrong with {code}.",
            "I will try {code} out myself now and tell you within the hour what I find.",
        ),
    ),
    "praise": Subject(
        {
            "I just wanted to say thank you. The {thing} came today, and it's even nicer than in the picture.": (
                "telling me about the {thing}"
            ),
            "My {kin} loves the {thing}! The little sprig of juniper on the parcel was a lovely touch.": (
                "telling me that your {kin} loves the {thing}"
            ),
            "On {day} I couldn't decide between two colours, and {m} in your shop was so patient with me. Please pass "
            "on my thanks!": "telling me about {m}",
            "No question this time, just a compliment: the {fragile} was packed so well that nothing could happen to "
            "it. Greetings to the packing table!": "thinking of the packing table",
            "thx so much, the {thing} is perfect": "the kind words about the {thing}",
            "super fast delivery, orderd the {thing} on {day} and its here allready": "telling me how fast it went",
            "got the new {thing}, all good now, cheers": "letting me know that the new {thing} is fine",
        },
        (
            "Your message made my morning.",
            "That is lovely to read.",
            "A note like yours makes the whole day better.",
        ),
        (
            "I will pin it up by the packing table, so that everyone here can read it.",
            "I will read it out to the others at lunch.",
            "I will pass it on to everyone here before we close today.",
        ),
        mood="glad",
    ),
    "anger": Subject(
        {
            "This is the third time I am writing about {order}. Nobody answers! What kind of shop is this?": (
                "writing to us a third time"
            ),
            "I am really angry. First my {thing} came late, then it was the wrong one, and now your phone rings and "
            "rings.": "telling me the whole story",
            "You promised me a call on {day}. I stayed at home for it, and nobody called. I want to know what is going "
            "on with {order}.": "staying at home for our call",
            "Honestly, I expected more. {amount} for {thing.a} that falls apart, and then a form letter as a reply. Is "
            "there a real person there?": "asking for a real person",
            "worst shop ever. {thing} is rubbish and nobody picks up the phone": "telling me plainly",
            "waiting since {day} for an answer about my {thing}. ridiculous!!!": "waiting since {day}",
            "never buying from you again": "telling me how you feel",
            "your customer service is a joke, {order} and not one reply": "writing again all the same",
        },
        (
            "You have every reason to be angry, and I am sorry.",
            "That is not how we want to treat anyone, and I am sorry.",
            "I would be cross too, and I am sorry.",
        ),
        (
            "I will look after {order} myself from now on, and you will hear from me by six today.",
            "I will go through {order} line by line now and write to you this afternoon.",
            "Please send me your order number, and I will see to it myself today.",
            "Just reply with your order number and a good time to call, and I will ring you myself.",
        ),
        mood="cross",
    ),
    "return": Subject(
        {
            "I would like to send back the {thing} from order {order}. How does that work?": "asking first",
            "The {thing} is nice, but it doesn't suit our flat after all. Can I return it? I bought it on {date}.": (
                "giving the {thing} a try"
            ),
            "I was given {thing.a} by my {kin}, but we already have one. Would you take it back? It's still in its "
            "box.": "keeping it in its box",
            "What are your rules for returns? I ordered {thing.a} on {date}, and I'm not sure about it yet.": (
                "asking in good time"
            ),
            "how do i return {order}": "asking about {order}",
            "want to send the {thing} back": "telling me about the {thing}",
            "changed my mind about the {thing}, can i get a refund?": "being so open about it",
        },
        (
            "You can send back anything within 30 days of getting it.",
            "Sending things back is fine with us, within 30 days of the delivery.",
            "Not everything suits everyone, so you have 30 days from the delivery to send it back.",
        ),
        (
            "I will email you a return label for {order} today.",
            "You will find a return label for {order} in your inbox this evening.",
            "Please send me your order number, and I will email you a return label.",
            "Just reply with your order number, and the label will be in your inbox today.",
        ),
    ),
    "refund": Subject(
        {
            "I sent the {thing} back on {date} and have not seen my {amount} yet. The order was {order}.": (
                "telling me when you sent the {thing} back"
            ),
            "Has the {thing} I returned reached you? I handed it in on {day} and would like to know when the money "
            "comes.": "handing it in on {day}",
            "According to your email, {amount} should have been back on my card by {day}. My bank has nothing so "
            "far.": "checking with your bank",
            "I don't mean to push, but the refund for {order} is taking quite long, and {amount} is a lot of money for "
            "me at the moment.": "asking so kindly",
            "wheres my refund for {order}": "asking about your refund",
            "still no refund, its {amount}!!": "reminding me of the {amount}",
            "refund for the {thing} pls, sent it back on {date}": "telling me about the {thing}",
        },
        (
            "A refund takes up to five working days once the parcel is back here, and I know that can feel long.",
            "We allow five working days for it once the parcel is back with us, and I am sorry if yours takes longer.",
            "Waiting for money is no fun, and I am sorry.",
        ),
        (
            "I will check today where {order} stands and write to you by noon tomorrow.",
            "I will ask our accounts about {order} this afternoon and tell you what they say.",
            "Please send me your order number, and I will check today where it stands.",
            "Just reply with your order number, and I will ask our accounts this afternoon.",
        ),
    ),
    "cancel": Subject(
        {
            "Please cancel order {order}. I ordered the {thing} twice by mistake.": "writing so clearly",
            "Is it still possible to cancel? I ordered {thing.a} this morning and found the same one in my cellar at "
            "noon.": "telling me about the one in your cellar",
            "My {kin} has already bought me {thing.a}, so I no longer need mine. Could you stop {order} before it "
            "leaves?": "telling me about your {kin}'s present",
            "I need to cancel, as the {thing} would arrive on {soon} and by then we are away for a month. The number "
            "is {order}.": "telling me about your trip",
            "cancel {order} pls": "sending the order number along",
            "clicked buy by accident, dont want the {thing}": "telling me about the click",
            "can i cancel my {thing}, orderd it on {day}": "asking about your {thing}",
        },
        (
            "That is no trouble as long as the parcel is still here.",
            "As long as it has not left, we can stop it.",
            "We can stop anything that is still on our table.",
        ),
        (
            "I will stop {order} now if I can, and confirm it by email.",
            "I will go to the packing table for {order} right now and write to you within the hour.",
            "Please send me your order number, and I will try to stop it at once.",
            "Just reply with your order number, and I will go straight to the packing table.",
        ),
    ),
    "stock": Subject(
        {
            "Will you have the {thing} in {colour} again? I have been looking at it for weeks.": (
                "your interest in the {colour} {thing}"
            ),
            "The {thing} is sold out on your page. Do you have one left in the shop, by any chance? It would be for my "
            "{kin}.": "thinking of us for your {kin}",
            "I bought a {colour} {thing} from you last year and would love a second one. Do you still sell it?": (
                "coming back for a second one"
            ),
            "Could you put a {colour} {thing} aside for me? I can come and fetch it on {soon}.": (
                "planning to come on {soon}"
            ),
            "{colour} {thing} back in stock when??": "asking about the {colour} {thing}",
            "do u still sell the {thing}": "asking about the {thing}",
            "is the {thing} coming in {colour} too?": "asking about the {thing} in {colour}",
        },
        (
            "I would rather look than guess.",
            "Our shelves change every week, so I do not want to guess.",
            "It is one of my favourites too, so I am glad to look.",
        ),
        (
            "I will go through our shelves today and write to you by this evening.",
            "I will ask in our stockroom this afternoon and tell you what they say.",
            "I will look it up in our list now and write to you within the hour.",
        ),
    ),
    "present": Subject(
        {
            "Can you wrap {thing.a} as a present? It's for my {kin}.": "choosing a present for your {kin} here",
            "I would like to add a card to order {order}. It's my {kin}'s birthday on {soon}.": (
                "telling me about the birthday"
            ),
            "How much does gift wrapping cost? I'm thinking of {thing.a} for my {kin} and {other.a} for myself.": (
                "thinking of your {kin}, and of yourself"
            ),
            "Is it possible to have {order} sent straight to my {kin}, wrapped and without a price on it?": (
                "trusting us with your {kin}'s present"
            ),
            "do you do gift wrap": "asking about wrapping",
            "can u leave the price out of {order}, its a present": "telling me that it is a present",
            "want to give my {kin} {thing.a}, can u wrap it?": "thinking of us for your {kin}",
        },
        (
            "We wrap presents in brown paper, add a card and leave out the price, all for free.",
            "Wrapping is free, and so is a card; the price stays out of the box.",
            "Presents get brown paper, a sprig of juniper and a card without a price, and it costs nothing.",
        ),
        (
            "I will mark {order} as a present now; just reply with the words for the card.",
            "Please tell me what the card should say, and I will add it to {order}.",
            "Please tick the little bow in your basket, then send me the order number and the words for the card.",
            "Once you have ordered, just send me your order number and the words for the card.",
        ),
    ),
    "payment": Subject(
        {
            "My card was charged {amount} twice for order {order}. Please look into it.": "checking so closely",
            "I paid {amount} on {date}, but the page still says that the payment is open. Do I need to pay again?": (
                "asking before you pay again"
            ),
            "I used the code {code}, but the full {amount} was taken from my account. The order is {order}.": (
                "telling me about the code"
            ),
            "There is a charge of {amount} from your shop on my card, from {date}, and I can't think what it was for. "
            "Could you tell me?": "asking me about the charge",
            "payed but got no confirmation": "telling me about the payment",
            "why did u take {amount} twice": "telling me about the {amount}",
            "card got declined but the money is gone, order {order}": "telling me about the card",
        },
        (
            "Nobody should have to wonder about a payment, and I am sorry.",
            "I can see why that worries you, and I am sorry.",
            "Money matters should be clear, and I am sorry that this one is not.",
        ),
        (
            "I will go through the payments for {order} today and write to you by noon tomorrow.",
            "I will check {order} with our accounts this afternoon and tell you what I find.",
            "Please send me your order number or the name on the account, and I will look today.",
            "Just reply with your order number if you have it, and I will check with our accounts this afternoon.",
        ),
    ),
    "login": Subject(
        {
            "I can't log in any more. The page says that my password is wrong, although I have not changed it.": (
                "telling me what the page says"
            ),
            "I asked for a new password on {day}, and no email has come. I have looked in the spam folder too.": (
                "looking in the spam folder too"
            ),
            "Your page keeps asking me for a code from my phone, but my phone was stolen on {day}. How do I get into "
            "my account?": "telling me about your phone",
            "I wanted to order {thing.a} for my {kin}, but I'm locked out of my account after three attempts.": (
                "trying three times"
            ),
            "forgot my password": "writing to me about it",
            "cant log in since {day}": "telling me about your login",
            "password link doesnt work, tried it on {day} and again today": "trying it twice",
            "it says account locked, just wanted to buy {thing.a}": "wanting to buy {thing.a} from us",
        },
        (
            "A locked door is a nuisance, and I would like to open it for you.",
            "That is annoying, and I am glad to help.",
            "These things happen to all of us.",
        ),
        (
            "Please reply from the email address of your account, and I will send you a fresh link.",
            "Please tell me the email address of your account, and I will reset the login today.",
            "Just reply with the email address of your account, but never with a password, and I will see to it.",
        ),
    ),
    "abroad": Subject(
        {
            "Do you deliver to {country}? I would like to send {thing.a} to my {kin}.": (
                "thinking of your {kin} in {country}"
            ),
            "How much is the postage to {country}, and how long does a parcel take?": "asking about {country}",
            "I live in {country} and have fallen in love with your {thing}. Can it be sent here?": (
                "the kind words about the {thing}"
            ),
            "We are moving to {country} soon. Can we still order from you then?": "wanting to stay with us",
            "My {kin} lives in {country} and has a birthday in three weeks. Would {thing.a} get there in time, and "
            "what would it cost to send?": "planning ahead for your {kin}",
            "do u ship to {country}": "asking about {country}",
            "delivery cost to {country} for {thing.a}?": "asking about the {thing}",
            "how many days does delivery to {country} take": "asking about {country}",
        },
        (
            "We do send parcels to {country}; they cost €9 and take five to eight working days.",
            "A parcel to {country} costs €9 and takes five to eight working days.",
            "Parcels to {country} take five to eight working days and cost €9, whatever is in them.",
        ),
        (
            "Just choose {country} in your basket, and the postage is added for you.",
            "If it has to be there on a certain day, tell me, and I will ask the carrier.",
            "Once the parcel leaves, I will email you a link to follow it on its way.",
        ),
    ),
}


def fields(sentence: str) -> set[str]:
    """What a sentence speaks of."""
    return {name.split(".")[0] for _, name, _, _ in Formatter().parse(sentence) if name}


def fits(sentence: str, known: set[str]) -> bool:
    """Whether a sentence of a reply speaks only of what is known, and does not ask for it."""
    return fields(sentence) <= known and not any(REQUESTS.get(name, "\n") in sentence for name in known)


def exchange(subject: Subject, ask: str, r: random.Random) -> tuple[str, str, str]:
    """A message without its greeting and name, the whole message, and the reply."""
    drawn = words(r)
    haste = not ask[0].isupper()
    opening = "" if haste else r.choice(OPENINGS[subject.mood])
    end = r.choice(ENDS["haste" if haste else subject.mood])
    known = fields(ask) | fields(end)
    say, step = (r.choice([s for s in told if fits(s, known)]) for told in (subject.says, subject.steps))
    hello = "Hi {n}," if "n" in known else "Hi there,"
    reply = f"{hello} thank you for {subject.asks[ask]}. {say} {step}\n{SIGNATURE}".format(**drawn)
    body, message = (text.format(**drawn) for text in (ask, opening + ask + end))
    return (body.lower(), message.lower(), reply) if haste else (body, message, reply)


def style_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of `style-sft`: every way of asking comes once before one of them comes again with other words in it."""
    r = random.Random(seed)
    ways = [(subject, ask) for subject in SUBJECTS.values() for ask in subject.asks]
    rows: list[dict[str, Any]] = []
    bodies: list[str] = []
    messages: list[str] = []
    while len(rows) < count:
        before = len(rows)
        r.shuffle(ways)
        for subject, ask in ways:
            body, message, reply = exchange(subject, ask, r)
            if len(rows) == count or alike(body, bodies, ALIKE) or alike(message, messages, ALIKE):
                continue
            bodies.append(body)
            messages.append(message)
            rows.append({"messages": [{"role": "user", "content": message}, {"role": "assistant", "content": reply}]})
        if len(rows) == before:
            raise ValueError(f"there are no {count} messages that differ enough, only {before}")
    return rows


# --- preferences: one solution, and what can be wrong with it ---------------------------------------------------------

EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)$")
CONFUSED = {"+": "-", "-": "+", "*": "+", "/": "-*"}

BEFORE = [
    "What a wonderful question! Before we begin, let us take a moment to understand what is being asked.",
    "Word problems can look difficult, but do not worry: there is a method that always helps.",
    "Great, let us solve this together. First we read the text carefully, then we find the important numbers.",
    "Mathematics is all around us, and this little story is a fine example of it.",
    "To solve this problem, it is useful to remember a few basic ideas about numbers.",
    "Thank you for this interesting exercise. I will explain every detail so that nothing stays unclear.",
]
LECTURES = {
    "gain": "When something is added to what is already there, we use addition. Addition can be done in any order.",
    "loss": "When something goes away, we use subtraction. It is the opposite of addition.",
    "groups": "When there are several groups of the same size, we use multiplication, which is repeated addition.",
    "share": "When something is split into equal parts, we use division. It is the opposite of multiplication.",
    "packs": "Here two operations are needed. The groups are multiplied first, then the others are added.",
    "change": "With money, we first find the price of everything, and only then look at what was there to spend.",
    "fewer": "Words such as more and fewer compare two amounts, and a comparison is not yet a total.",
    "average": "The average, also called the mean, is what each would have if everything were shared out evenly.",
    "perimeter": "The perimeter is the length of the way around a shape. It must not be confused with the area.",
    "rest": "Such a task has two parts: what is still to be done, and how much of it is done each time.",
}
AFTER = [
    "As you can see, it is quite simple when we go step by step. It is always wise to check the result once more.",
    "I hope that this explanation was helpful! If anything is unclear, please feel free to ask me another question.",
    "Remember that practice makes perfect. With a few more problems of this kind you will soon be an expert.",
    "We could also have solved this with a drawing or on an abacus, and the result would have been the same.",
    "In summary, we read the text, found the numbers, chose the operation and worked it out carefully.",
    "Skills like this one are useful in everyday life, for instance when shopping, cooking or planning a journey.",
]


def ended(steps: Sequence[str], answer: int) -> str:
    """Steps with the marker of the answer, as `math-sft` has them."""
    return "\n".join([*steps, f"<<ans:{answer}>>"])


def result(a: int, sign: str, b: int) -> int | None:
    """What comes out, if it is a whole number above zero."""
    if sign == "/":
        return a // b if a % b == 0 and a >= b else None
    value = {"+": a + b, "-": a - b, "*": a * b}[sign]
    return value if value > 0 else None


def carried(steps: Sequence[str], at: int, sign: str = "", off: int = 0) -> tuple[list[str], int] | None:
    """The steps with another sign, or a result that is off, in one equation, and the last number that follows from it.

    None if they cannot be carried on in whole numbers above zero, or if it is unclear where the result is used.
    """
    lines: list[str] = []
    true = value = 0
    for number, step in enumerate(steps):
        found = EQUATION.search(step)
        if found is None:
            return None
        a, b, right = (int(found[group]) for group in (1, 3, 4))
        said, own = step[: found.start()], found[2]
        if number > at:
            if (a == true) == (b == true):
                return None
            a, b = (value, b) if a == true else (a, value)
        if number == at and sign:
            said, own = "", sign  # the words in front of it, such as "Multiply:", no longer fit
        got = result(a, own, b)
        if got is None:
            return None
        value = got + off if number == at else got
        if value <= 0:
            return None
        lines.append(f"{said}{a} {own} {b} = {value}")
        true = right
    return lines, value


def first_wrong(problem: Problem, tries: list[dict[str, Any]], r: random.Random) -> str | None:
    """One of the changes to the steps that leads to another answer, with that answer."""
    for change in r.sample(tries, len(tries)):
        made = carried(problem.steps, **change)
        if made is not None and made[1] != problem.answer:
            return ended(*made)
    return None


def slip(problem: Problem, r: random.Random) -> str | None:
    """One equation comes out wrong: by one or two, by a ten that was not carried, by a row of the table."""
    tries = []
    for at, step in enumerate(problem.steps):
        a, sign, b, c = EQUATION.search(step).groups()  # type: ignore[union-attr]
        near = {1, 2} if sign == "/" else {1, 2, 3}
        far = {int(a), int(b)} if sign == "*" else {10} if sign in "+-" and int(c) > 20 else set()
        tries += [{"at": at, "off": way * off} for off in sorted(near | far) for way in (1, -1)]
    return first_wrong(problem, tries, r)


def confusion(problem: Problem, r: random.Random) -> str | None:
    """One equation has the wrong operation."""
    signs = [EQUATION.search(step)[2] for step in problem.steps]  # type: ignore[index]
    tries = [{"at": at, "sign": other} for at, sign in enumerate(signs) for other in CONFUSED[sign]]
    return first_wrong(problem, tries, r)


def bare(problem: Problem, r: random.Random) -> str | None:
    """The right answer without any steps."""
    return ended([], problem.answer)


def unmarked(problem: Problem, r: random.Random) -> str | None:
    """The right steps and a sentence, but no marker."""
    return problem.solution


def padded(problem: Problem, r: random.Random) -> str | None:
    """The right steps in the middle of a lecture."""
    before = f"{r.choice(BEFORE)} {LECTURES[problem.type]}"
    return ended([before, *problem.steps, r.choice(AFTER)], problem.answer)


FAULTS: list[Callable[[Problem, random.Random], str | None]] = [slip, bare, unmarked, padded, confusion]


def preference_rows(count: int, seed: int, apart: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of `prefs`: types and faults in turn, every type with every fault; no question is near to one of `apart`."""
    r = random.Random(seed)
    types = problems.KNOWN + problems.NEW
    rows: list[dict[str, Any]] = []
    asked: set[str] = set()
    for number in range(count):
        lap, turn = divmod(number, len(types))
        fault = FAULTS[(turn + lap) % len(FAULTS)]
        while True:
            problem = problems.make(types[turn], r)
            rejected = fault(problem, r)
            if rejected and problem.question not in asked and not alike(problem.question, apart, NEAR):
                break
        asked.add(problem.question)
        answers = {"chosen": ended(problem.steps, problem.answer), "rejected": rejected}
        said = {key: [{"role": "assistant", "content": text}] for key, text in answers.items()}
        rows.append({"prompt": [{"role": "user", "content": problem.question}], **said})
    return rows
