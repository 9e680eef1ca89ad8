"""Texts that try a tokenizer: sentences mixed from many scripts, marks, damaged UTF-8; and a vocabulary for them."""

from __future__ import annotations

import random
import unicodedata

CHINESE = "我想查一下订单什么时候到货，退款到账了吗？请问发票怎么开；地址填错了能改吗！密码忘记怎么办"
REAL = (
    "你好，我的iPhone 12订单20240101号怎么还没发货？",
    "ＡＢＣ１２３　全角　ｔｅｘｔ！",
    "Café naïve résumé Ünïcödé ßtraße ﬁne İstanbul ǅ Ǆ",
    "e\u0301 a\u0308\u0323 \u0915\u093f \u0e01\u0e33 \u1100\u1161\u11a8 각 힣",
    "👍🏽 👨‍👩‍👧‍👦 ❤️ ☎️ 🇨🇳",
    "2024-01-01 12:30,¥99.90 (50%off) a_b#c@d.com https://x.cn/a?b=c",
    "\u200b零宽\ufeff空格\u00a0nbsp\u3000全角\u2028line\u2029para\x00nul\x07bel\x85nel\ttab\r\n",
    "[CLS] [SEP] [MASK] [UNK] [PAD] ##ing",
    "ΑΣ ΣΑΣ Ὀδυσσεύς Йод ё й عَرَبِيّ עִבְרִית ไทย ภาษา हिन्दी",
    "豈更車賈 \uf900\uf901 \U0002f800 〆〇々 ㍿ ㈱ ① Ⅷ ｶﾞ が",
    "𝔘𝔫𝔦 𝕋𝕖𝕩𝕥 \U0001d15f \u302e\U0001d165 \U00020000\U0002a6d6",
    "x" * 101 + " " + "y" * 100,
    "",
    " \t\u3000",
    "。",
)


def texts(count: int, seed: int) -> list[bytes]:  # noqa: C901  (a case for each kind of piece)
    """So many byte strings: real ones first, then generated; a tenth of them are no UTF-8."""
    rng = random.Random(seed)
    points = [p for p in range(0x20, 0x30000) if not 0xD800 <= p < 0xE000]
    marks = [p for p in range(0x300, 0x1F000) if unicodedata.category(chr(p)) in ("Mn", "Mc", "Me")]
    decomposed = [p for p in range(0xC0, 0x2FA20) if unicodedata.decomposition(chr(p))]

    def piece() -> str:
        kind = rng.randrange(9)
        some = rng.randint(1, 6)
        if kind == 0:
            return "".join(rng.choice(CHINESE) for _ in range(some))
        if kind == 1:
            return "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCDXYZ") for _ in range(some))
        if kind == 2:
            return str(rng.randint(0, 10**some))
        if kind == 3:
            return rng.choice((" ", "  ", "\u3000", "\t", ".", ",", "！", "-", "##", "\u00a0"))
        if kind == 4:
            return rng.choice("aeiouénşΩйが") + "".join(chr(rng.choice(marks)) for _ in range(some))
        if kind == 5:
            return chr(rng.choice(decomposed))
        if kind == 6:
            return chr(rng.randint(0x1F300, 0x1FAFF)) + rng.choice(("", "\u200d", "\ufe0f", "\U0001f3fd"))
        if kind == 7:
            return chr(rng.choice(points))
        return chr(rng.randint(0xFF01, 0xFF9F))

    found = [text.encode() for text in REAL][:count]
    while len(found) < count:
        raw = "".join(piece() for _ in range(rng.randint(1, 12))).encode()
        if rng.random() < 0.1:
            broken = bytearray(raw)
            for _ in range(rng.randint(1, 3)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            raw = bytes(broken[: rng.randint(1, len(broken))])
        found.append(raw)
    return found


def vocabulary(seed: int = 0) -> bytes:
    """Special tokens, letters, pieces of words and ideographs, some of each missing."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789" + "αςσйиенşßıi̇कกがあ각ㄱ" + "éüàö"
    pieces = {"".join(rng.choice("abcdefghinorstux0123456789") for _ in range(rng.randint(2, 3))) for _ in range(800)}
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(CHINESE), *dict.fromkeys(letters)]
    lines += [f"##{letter}" for letter in dict.fromkeys(letters)] + sorted(pieces) + sorted(f"##{p}" for p in pieces)
    lines += [
        "。",
        "豈",
        "更",
        "\u1100",
        "##\u1161",
        "##\u11a8",
        "，",
        "？",
        "-",
        ".",
        "#",
        "👍",
        "❤",
        "ａ",
        "##ａ",
        "##\u302e",
    ]
    return ("\n".join(dict.fromkeys(lines)) + "\n").encode()
