"""Golden ids for the CLIP tokenizer, from OpenCLIP's own `SimpleTokenizer`.

    python tests/parity/generate_tokenizer.py

writes `goldens/tokenizer.json` beside this file. Needs open_clip_torch (which brings ftfy and
regex). Every text is ASCII-escaped in the file.

Two kinds of text are refused, because the Rust side does not promise them: text on which ftfy
repairs mojibake (it guesses encodings), and characters that are unassigned in Unicode 14, whose
classes depend on the Python that runs this.
"""

import html.entities
import json
import random
import unicodedata
from importlib.metadata import version
from pathlib import Path

import ftfy
import regex
from open_clip import tokenizer as reference

SEED = 2022
SMALL_MERGES = 2000
CONTEXT_LENGTH = 77

TEXTS = {
    "plain": [
        "", " ", "a", "A", "hello world", "a photo of a cat", "She is furious with him.",
        "I can't believe it!", "The quick brown fox jumps over the lazy dog",
        "Why would you do that to me?", "antidisestablishmentarianism", "zzzzxqjwv",
        "OMG LOL WTF", "MiXeD cAsE", "a" * 40, "snake_case and kebab-case", "e-mail: a@b.co",
    ],
    "contraction": [
        "it's", "IT'S", "they're we've I'm he'll she'd don't", "'s 't 're 've 'm 'll 'd",
        "'S 'T 'RE 'VE 'M 'LL 'D", "rock'n'roll", "'twas", "o'clock", "y'all'd've", "''s",
        "it\u2019s they\u2019re", "don\u02bct", "'\u017f", "it'\u017f", "'sword 'team 'dog",
    ],
    "digit": [
        "0", "42", "3.14159", "1,234,567.89", "2nd 3RD 4th", "1080p", "v1.2.3-rc4", "007",
        "\u0663\u0664", "\u096a\u0968", "\u00bd cup", "x\u00b2 + y\u00b3", "\u2167 \u2177", "\u2460\u2461", "\u4e00\u4e8c\u4e09",
        "\U0001d7d8\U0001d7d9", "10\u00b3 m", "1\ufe0f\u20e3", "\U00016b51",
    ],
    "punctuation": [
        "!", "?!?!", "...", "\u2026", "wait...what", "#happy @you", "$5 & up", "50% off", "a/b\\c",
        "<3", ":-) ;-) :'( xD", "(\u256f\u00b0\u25a1\u00b0)\u256f\ufe35 \u253b\u2501\u253b", "\u00af\\_(\u30c4)_/\u00af", "---", "\u2013 \u2014 \u2015", "\u00bfqu\u00e9?",
        "\u00abbonjour\u00bb \u2039oui\u203a", "{[()]}", "~`^|", "\u20ac5 \u00a33 \u00a52", "_", "\u2022 item",
    ],
    "quote": [
        "\u201cyes\u201d \u2018no\u2019", "\u201eja\u201c \u201anein\u2018", "\u201b\u201f", "\u2032 \u2033", "\u02bcokina", "`tick\u00b4", "''\"\"",
        "\u201c\u2018nested\u2019\u201d",
    ],
    "ligature": [
        "\ufb01ne \ufb02at \ufb00 \ufb03x \ufb04e", "\ufb05op fir\ufb06", "\u0132s \u0133s", "\u0149 boek", "\u01c4 \u01c5 \u01c6", "\u01c7\u01c8\u01c9 \u01ca\u01cb\u01cc",
        "\u01f1\u01f2\u01f3", "\u00e6 \u0153 \u00df stay", "\ufb13\ufb1d\ufdfa", "\u0587",
    ],
    "width": [
        "\uff2c\uff2f\uff35\uff24\u3000\uff2e\uff2f\uff29\uff33\uff25\uff33", "\uff35\uff80\uff70\uff9d", "\uff76\uff9e\uff8a\uff9f", "\uff11\uff12\uff13", "\uff01\uff1f\uff0e", "\uffe6\uffe0\uffe3", "\uffa1\uffc2", "\uff07s",
        "\uff1cb\uff1e", "\uff06amp;",
    ],
    "control": [
        "a\x00b\x07c", "\x1b[31mred\x1b[0m", "\x1b[1;4;38mhi\x1b[m", "\x1b[", "\x1b[2~", "\ufeffbom", "a\u206ab",
        "\ufff9note\ufffa\ufffb", "\ufffcobj", "del\x7fete", "tab\x0bvertical", "\x1c\x1d\x1e\x1f", "\x1b\x00[1mx",
        "c1 \x80 \x99 \x9f", "next\x85line", "\x81\x8d", "soft\xadhyphen",
    ],
    "white space": [
        "  lead", "trail  ", "a\tb\nc\rd\fe", "a\r\n\r\nb", "a\u00a0b\u2003c\u2009d", "a\u1680b\u205fc\u202fd",
        "a\u2028b\u2029c", "a\u3000b", "a\u200bb\u200cc\u200dd\u2060e", "a\u180eb", "\n\n\n", "x \u00a0 y",
    ],
    "normalization": [
        "de\u0301ja\u0300 vu", "d\u00e9j\u00e0 vu", "a\u0323\u0302", "a\u0302\u0323", "\u212b \u2126 \u212a", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\u304b\u3099", "q\u0307\u0323",
        "\u0344", "\u2adc", "\u0958", "\ufb1f", "Z\u0351\u036b\u0343\u036a\u0302\u036ba\u0334\u0321l\u0357g\u030do\u033f",
    ],
    "entity": [
        "&lt;3 &amp; &gt;", "&eacute;&Eacute;&EACUTE;", "STRA&SZLIG;E", "&nTILDE;", "&hellip;&mdash;", "&nbsp;x&nbsp;",
        "&copy &notit; &not", "this&not that", "&quot;hi&quot; &apos;s", "it&#39;s &#x27;S", "&#233;&#xE9;&#XE9",
        "&#128;&#150;&#x85;", "&#0;&#1;&#xB;&#xFFFF;&#xFDD0;", "&#55357;&#x110000;&#99999999999;", "&#;&#x;&;&",
        "&amp;amp;amp;amp;lt;", "<b>&amp;lt;</b>", "<i>&eacute;&EACUTE;</i>", "&EACUTE;\n<b>\n&EACUTE;",
        "&CounterClockwiseContourIntegral;", "&fjlig; &NotEqualTilde; &bne;", "&ThickSpace;x", "&there4; &FRAC12;",
        "&#8220;quoted&#8221;", "&zwj;&zwnj;&shy;", "&ampamp;", "&amp;#x1F600;", "&bogus; &unknown", "&#65b;&#59;",
        "&ltlt;&LT;&Lt;", "&Tab;&NewLine;x", "&fflig;&ffilig;", "AT&T R&D", "?a=1&b=2&copy=3",
    ],
    "lower case": [
        "\u0130stanbul ILIK \u0131\u015fIK", "I\u0307", "\u039f\u0394\u039f\u03a3 \u03a3\u0391\u03a3 \u03a3 \u03b1\u03a3.\u03b2", "\u039f\u03a3\u2019", "\u03a3\u0301 \u0391\u03a3\u0301 \u0391\u03a3\u0301\u0391", "\u1e9e \u00df SS", "\u01c5",
        "\u0391\u0399\u0345 \u1fbc", "\u1fb3\u0345", "\u13a0\u13b0 \uab70", "\u10a0 \u1c90", "\u24b6\u24b7 \u2160", "\U0001d400",
        "\U00010400\U00010428", "\u0401\u0416\u0418\u041a", "\u0531\u0552", "\u017f \u212a \u2126", "\U0001e900",
    ],
    "script": [
        "\u4eca\u65e5\u306f\u3068\u3066\u3082\u5b09\u3057\u3044", "\u6211\u5f88\u751f\u6c14\uff01", "\u5b89\u5fbd\u7701", "\uc544\ub2c8, \uc65c \uc6b8\uc5b4?", "\u043e\u043d \u043e\u0447\u0435\u043d\u044c \u0437\u043e\u043b", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
        "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a", "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0", "\u1218\u120d\u12ab\u121d", "\u0baa\u0bc1\u0ba4\u0bbf\u0baf", "Ti\u1ebfng Vi\u1ec7t", "za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144",
        "\u00e5\u00e4\u00f6 \u00c5\u00c4\u00d6", "\U00020000\U0002a6df", "\U00010330\U00010331", "\U00012000", "\u202aLTR\u202c \u202eRTL\u202c", "\u0644\u0627 \ufefb",
    ],
    "emoji": [
        "\U0001f600", "\U0001f600\U0001f602\U0001f62d", "so happy \U0001f60d\U0001f60d!!", "\u2764\ufe0f \u2764", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f3f3\ufe0f\u200d\U0001f308",
        "\U0001f1eb\U0001f1f7\U0001f1ef\U0001f1f5", "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f", "cat\U0001f431dog\U0001f436", "\u263a\ufe0e", "\u2122 \u00ae \u00a9", "\U0001f937\u200d\u2640\ufe0f",
        "\U0001f9d1\U0001f3ff\u200d\U0001f9b0", "#\ufe0f\u20e3",
    ],
    "special": [
        "<start_of_text>", "a <end_of_text> b", "<END_OF_TEXT>", "x<end_of_text>y", "!<end_of_text>", "<<end_of_text>>",
        "<start_of_text><end_of_text>", "<end_of_text", "&lt;end_of_text&gt;", "<\u017ftart_of_text>",
        "<|startoftext|> hi <|endoftext|>", "\uff1cend_of_text\uff1e", "<end of text>",
    ],
    "markup": [
        "<p>Hello <b>you</b></p>", "<!-- c -->", "a < b > c", "[link](http://x.yz/?q=1&amp;r=2)", "**bold** _it_",
        "{\"k\": [1, null]}", "SELECT * FROM t; --", "C:\\dir\\f.txt", "https://example.org/a%20b#c", "\\n \\u00e9",
    ],
}
SPECIAL_TEXTS = TEXTS["special"] + ["<|STARTOFTEXT|>", "x<|endoftext|>y", ".<|endoftext|>", "it's plain"]
LONG_TEXTS = ["cat " * 74, "cat " * 75, "cat " * 76, "never ever " * 60, "x" * 400, "<end_of_text>" * 90]


def with_vocabulary(merges, specials):
    """A `SimpleTokenizer` whose tables hold the first merges and other special literals."""
    tokenizer = reference.SimpleTokenizer()
    pairs = list(tokenizer.bpe_ranks)[:merges]
    alphabet = list(reference.bytes_to_unicode().values())
    symbols = alphabet + [symbol + "</w>" for symbol in alphabet]
    symbols += ["".join(pair) for pair in pairs] + specials
    tokenizer.encoder = {symbol: index for index, symbol in enumerate(symbols)}
    tokenizer.bpe_ranks = {pair: rank for rank, pair in enumerate(pairs)}
    tokenizer.cache = {special: special for special in specials}
    ordinary = tokenizer.pat.pattern.split("|'s|")[1]
    escaped = "|".join(regex.escape(special) for special in specials)
    tokenizer.pat = regex.compile(f"{escaped}|'s|{ordinary}", regex.IGNORECASE)
    return tokenizer


def needs_mojibake_repair(text):
    return ftfy.fix_text(text) != ftfy.fix_text(text, fix_encoding=False)


def has_young_characters(text):
    cleaned = ftfy.fix_text(text)
    return any(unicodedata.category(c) == "Cn" for c in text + cleaned)


def random_texts(count):
    """Texts that mix everything, so that the cleaning steps meet each other."""
    rng = random.Random(SEED)
    assigned = [chr(c) for c in range(0x30, 0x20000) if unicodedata.category(chr(c))[0] not in "C"]
    fragments = [text for texts in TEXTS.values() for text in texts if 0 < len(text) < 12]
    names = ["&" + name for name in html.entities.html5]
    texts = []
    while len(texts) < count:
        pick = [rng.choice(assigned), rng.choice(fragments), rng.choice(names), chr(rng.randrange(1, 0x100))]
        text = "".join(rng.choice(pick + rng.sample(fragments, 4)) for _ in range(rng.randint(2, 8)))
        if not needs_mojibake_repair(text) and not has_young_characters(text):
            texts.append(text)
    return texts


def main():
    open_clip = reference.SimpleTokenizer()
    small = with_vocabulary(SMALL_MERGES, ["<start_of_text>", "<end_of_text>"])
    open_ai = with_vocabulary(len(open_clip.bpe_ranks), ["<|startoftext|>", "<|endoftext|>"])

    categories = {**TEXTS, "random": random_texts(60)}
    texts = []
    for category, members in categories.items():
        for text in members:
            assert not needs_mojibake_repair(text), (category, text)
            assert not has_young_characters(text), (category, text)
            ids = {"ids": open_clip.encode(text), "small_ids": small.encode(text)}
            texts.append({"category": category, "text": text, **ids})

    specials = [{"text": text, "ids": open_ai.encode(text)} for text in SPECIAL_TEXTS]

    truncation = []
    for text in LONG_TEXTS + ["", "short"]:
        whole = [open_clip.sot_token_id, *open_clip.encode(text), open_clip.eot_token_id]
        release = whole[:CONTEXT_LENGTH] + [0] * (CONTEXT_LENGTH - len(whole))
        keep_eot = open_clip(text, CONTEXT_LENGTH)[0].tolist()
        truncation.append({"text": text, "keep_eot": keep_eot, "release": release})

    goldens = {
        "reference": {name: version(name) for name in ("open_clip_torch", "ftfy", "regex")},
        "unicode": unicodedata.unidata_version,
        "small_merges": SMALL_MERGES,
        "texts": texts,
        "open_ai": specials,
        "truncation": truncation,
    }
    path = Path(__file__).parent / "goldens" / "tokenizer.json"
    lines = json.dumps(goldens, separators=(",", ":")).replace('{"category"', '\n{"category"')
    path.write_text(lines.replace('{"text"', '\n{"text"') + "\n", encoding="ascii")
    print(f"{len(texts)} texts, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
