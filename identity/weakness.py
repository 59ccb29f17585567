"""Which passwords are too easy to guess, decided offline.

A password's strength is what is left of it when every piece a guesser tries first counts as one character: words and
names that people choose (English, pinyin, numbers with a meaning), parts of the person's own name and unit, runs on the
keyboard or in the alphabet, repeated characters, years. ``Zhangwei@123456`` is three such pieces and a sign.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from identity.passwords import prepare
from identity.provider import IdentityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from identity.settings import IdentitySettings

_RUN: Final = 3  # characters that make a run
_PIECE_MAXIMUM: Final = 24

_ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "`1234567890-=",
    "~!@#$%^&*()_+",
    "qwertyuiop[]\\",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "0p;/",
    "!qaz", "@wsx", "#edc", "$rfv", "%tgb", "^yhn", "&ujm",
    "789", "456", "123", "741", "852", "963", "147", "258", "369", "159", "357",
    "一二三四五六七八九十", "甲乙丙丁戊己庚辛壬癸",
)  # fmt: skip

_WORDS_TEXT: Final = """
    password passwd passw0rd pass word admin administrator root super superuser system sys user guest test tester demo
    default manager master server service oracle mysql postgres sqlserver database cisco huawei h3c ruijie sangfor
    welcome login hello letmein secret changeme access public private office support security safe secure network
    internet computer windows linux ubuntu debian centos redhat docker china chinese beijing shanghai guangzhou
    shenzhen tianjin chongqing wuhan chengdu hangzhou nanjing suzhou xian changsha qingdao dalian xiamen fuzhou jinan
    zhengzhou kunming hefei shenyang harbin zhongguo zhonghua gov government zhengfu city county bureau renmin xinxi
    xinxizhongxin anquan mima yonghu guanli guanliyuan xitong ceshi gongsi bangong woaini woaiwo aini woaizhongguo
    woaizuguo nihao xiexie laopo laogong baobao baobei mama baba zuguo zhu wode nide shenghuo kuaile xingfu jiankang
    pingan facai fada jixiang ruyi longma feilong love lover iloveyou forever angel dragon tiger monkey eagle lion
    football basketball baseball soccer summer winter spring autumn monday friday sunday january february march april
    june july august september october november december shadow sunshine princess flower superman batman michael
    jordan killer trustno google baidu tencent alibaba taobao weixin wechat secops
    5201314 1314520 520 521 1314 168 888 666 518 5188 778899 112233 123123 321321 147258369 159357 110 119 120 12306
    10086 10010 10000 qwe asd zxc qaz wsx edc q1w2e3r4 q1w2e3 1q2w3e 1q2w3e4r 1q2w3e4r5t a1b2c3 a1b2c3d4 abc123 aa123
    p@ssw0rd p@ssword 密码 口令 管理员 用户 系统 测试 你好 我爱你 中国 北京 上海 人民政府 政府 信息中心 网络安全
"""

_SURNAMES_TEXT: Final = """
    wang li zhang liu chen yang huang zhao wu zhou xu sun ma zhu hu guo he gao lin luo zheng liang xie song tang deng
    han feng cao peng zeng xiao tian dong pan yuan cai jiang yu du ye cheng wei su lu ding ren shen yao cui zhong tan
    fan wan jin shi liao jia xia fu fang bai zou meng xiong qin qiu hou yin xue yan lei long duan hao kong shao mao
    chang gu lai wu kang qian tao ouyang shangguan sima zhuge
"""
_GIVEN_TEXT: Final = """
    wei fang na min jing li qiang lei jun yang yong yan jie juan tao ming chao xiu xia ping gang gui hua hong fei bo
    bin hao kai peng lin long xin yu ying jian hui dan mei ling jia ting qing feng dong bing kun hai liang guo dan
    xiang yi rui chen shan zhi wen wu cheng de guang xiao jin hui yun zhen sheng xue lan shuai chun jianguo jianjun
    zhiqiang weiwei xiaoming xiaohong xiaoli
"""
_WORDS: Final = frozenset(_WORDS_TEXT.split())
_SURNAME: Final = "|".join(_SURNAMES_TEXT.split())
_GIVEN: Final = "|".join(_GIVEN_TEXT.split())
_PINYIN_NAME: Final = re.compile(f"(?:{_SURNAME})(?:{_GIVEN}){{1,2}}")
_YEAR: Final = re.compile(r"(?:19[3-9]\d|20[0-4]\d)(?:(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])?)?")
_LEET: Final = str.maketrans("@4301!$57", "aaeoiisst")


def check_password(password: str, *, about: Iterable[str], settings: IdentitySettings) -> None:
    """Refuse a new password that is too short, too long or too easy to guess.

    ``about``: what others know of the person, e.g. username, display name, organisation.

    Raises:
        IdentityError: password.invalid, password.short or password.weak.
    """
    text = prepare(password, settings.password_maximum)
    if text is None:
        raise IdentityError(
            "password.invalid",
            f"密码不能为空，且最多 {settings.password_maximum} 个字符",
            f"The password must not be empty and has at most {settings.password_maximum} characters",
        )
    if len(text) < settings.password_minimum:
        raise IdentityError(
            "password.short",
            f"密码至少 {settings.password_minimum} 个字符，当前为 {len(text)} 个",
            f"The password has {len(text)} characters; at least {settings.password_minimum} are needed",
        )
    if strength(text, about=about) < settings.password_strength:
        raise IdentityError(
            "password.weak",
            "密码太容易被猜到：请避免姓名、常用词、年份、连续按键和重复字符，可用几个不相关的词组成",
            "This password is easy to guess: avoid names, common words, years, keyboard runs and repetition;"
            " a few unrelated words make a good one",
        )


def strength(password: str, *, about: Iterable[str] = ()) -> int:
    """Count the characters that remain when every guessable piece counts as one."""
    lower = password.lower()
    personal = frozenset(_parts(about))
    folded = lower.translate(_LEET)
    return min(_cost(_without_repetition(text), personal) for text in {lower, folded})


def _without_repetition(text: str) -> str:
    """Reduce ``abcabcabc`` to ``abc``."""
    period = (text + text).find(text, 1)
    return text[:period]


def _parts(about: Iterable[str]) -> Iterator[str]:
    for text in about:
        lower = text.lower()
        for part in {lower, *re.split(r"[\W\d_]+", lower), *re.split(r"[\W_]+", lower)}:
            if len(part) >= _RUN or (part and not part.isascii()):
                yield part
                yield part[::-1]
                yield part.translate(_LEET)


def _cost(text: str, personal: frozenset[str]) -> int:
    """Find the cheapest way to write ``text`` as single characters and pieces, each costing one."""
    cheapest = [0]
    for end in range(1, len(text) + 1):
        reachable = [cheapest[start] for start in _starts(text, end, personal)]
        cheapest.append(1 + min([cheapest[end - 1], *reachable]))
    return cheapest[-1]


def _starts(text: str, end: int, personal: frozenset[str]) -> Iterator[int]:
    """Give each start of a piece that ends at ``end``."""
    run = _run_start(text, end)
    if end - run >= _RUN:
        yield run
    for start in range(max(0, end - _PIECE_MAXIMUM), end - 1):
        if _is_piece(text[start:end], personal):
            yield start


def _is_piece(piece: str, personal: frozenset[str]) -> bool:
    if piece in _WORDS or piece in personal or piece[::-1] in _WORDS:
        return True
    return bool(_YEAR.fullmatch(piece) if piece.isdigit() else _PINYIN_NAME.fullmatch(piece))


def _run_start(text: str, end: int) -> int:
    """Give the start of the longest run (one character repeated, or neighbours in a row) that ends at ``end``."""
    start = end - 1
    while start > 0 and _is_run(text[start - 1 : end]):
        start -= 1
    return start


def _is_run(piece: str) -> bool:
    if len(set(piece)) == 1:
        return True
    return any(piece in row or piece[::-1] in row for row in _ROWS)
