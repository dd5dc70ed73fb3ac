"""How an answer puts a letter: what stands before and after one that is chosen, or turned down."""

import re

from harness.score.folding import wordings
from harness.score.patterns import lazily

_LATEX = r"\\(?:boxed|fbox|text(?:bf|rm)?|math(?:rm|bf|bb)?)\{"
_WRAP = rf"(?:[\s(\[{{*_$`\"'<|-]|\\[(\[]|{_LATEX}){{0,12}}"
_CLOSE = r"(?:[)\]}*_$`\"'>|]|\\[)\]]){0,8}"
_NOUN = (
    rf"(?:(?:(?:option|choice|letter|answer)s?|{wordings('answer')})\s{{1,4}}"
    rf"|(?:{wordings('answer_joined')})\s{{0,4}})?"
)
NAMED_THING = lazily(
    r"\b(?:plan|vitamins?|hepatitis|blood type|types?|group|class|team|grade|exhibit|figure|table"
    r"|section|appendix|schedule|phase|stage|level|category|tier|zone|gate|room|unit|building"
    r"|company|person|player|point|side|route)\s$",
    re.I,
)
"""What a letter names when it stands for no option (`Plan B is better`)."""
SAID_RIGHT = lazily(r"\W{0,4}\s(?:is|was|would be) (?:the )?(?:correct|right)\b", re.I)
_BE = (
    r"(?:is|was|would be|should be|must be|will be|has to be|can only be|has got to be|seems to be"
    r"|appears to be)"
)
_HEDGE = (
    r"(?:(?:most|likely|probably|definitely|clearly|certainly|obviously|surely|undoubtedly|apparently"
    r"|presumably|perhaps|maybe|possibly|of course,?|simply|therefore|thus|indeed|actually"
    r"|either|both|the|option|choice|letter)\s{1,4}){0,3}"
)
GOES_ON = (
    r"\s{1,4}(?:because|since|as|for|due|given|but|not|which|so|and|or|if|though|although|rather"
    r"|instead|is|was|isn't|wasn't|seems|looks|appears|cannot|can't|can be|must|would|should"
    r"|could|versus|vs|makes|weil|denn|da|parce|car|porque|perch\u00e9)\b"
)
_ARTICLE = rf"(?:(?:{wordings('articles')})\s{{1,4}})?"
_ELSEWHERE = (
    rf"(?:\b(?:{wordings('answer')})(?:\s[^\W\d_]+){{0,2}}?"
    rf"(?:\s(?:{wordings('is')})\b[\s*_]{{0,4}}:?|[\s*_]{{0,4}}[:=-])"
    rf"|(?:{wordings('answer_joined')})\s{{0,2}}(?:{wordings('is_joined')})[\s*_]{{0,4}}:?"
    rf"|(?<!\u4e0d)(?<!\u4e0d\u5e94\u8be5)(?:{wordings('picks_joined')}))"
    rf"(?:\s{{1,4}}(?:{wordings('articles')})(?=\s))?"
)
"""``The answer is`` in other languages."""
STATED = lazily(
    rf"(?:{_ELSEWHERE}|\banswer(?:(?:\s(?:to|for|that|which|I|we)(?:'d)?\s"
    r"(?![^.,:;\n]{0,40}\b(?:not|wrong|incorrect|least)\b)[^.,:;\n]{1,40}?)?"
    r"(?:,[^.,:;\n]{1,30},)?"
    rf"(?:\s{{1,4}}[*]{{0,3}}(?:here\s)?{_BE}\b|'s\b)[\s*_]{{0,4}}:?"
    r"|[\s*_\"']{0,4}(?:[:=>\u2192\u21d2\u27a1]|-{1,2}>?)))"
    r"\s{0,8}",
    re.I,
)
EACH = lazily(
    r"\b(?:each|every|all|one|any|which|following)(?: (?:of|the|these|those|possible"
    r"|answer)){0,3} (?:answer|option|choice|selection)[*_]{0,3}\s{0,4}:\W*$",
    re.I,
)
"""Before a list of the options, not before the one that is chosen."""
_MARKED = r"[*_]{0,3}(?:[).:]|\s-\s)"
LISTED = lazily(
    rf"A{_MARKED}[^\n]*\n(?:(?![^\w\n]*[A-Z]{_MARKED})[^\n]*\n){{0,4}}"
    rf"[^\w\n]*B{_MARKED}(?!\s{{1,4}}(?:is|was|isn't)\b)",
    re.I,
)
REPEATED_OPTIONS = lazily(
    r"\W*A[\])*_`]{0,3}[).:](?:[^\n]*\n\W*B[\])*_`]{0,3}[).:]|[^\n.]*\sB[).:][^\n.]*\sC[).:])"
)

_IN_WORD = r"[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
"""What makes a letter beside it a part of a word: not a script that sets no spaces."""
LETTER = lazily(rf"(?<!{_IN_WORD})(?<!\w')([A-Za-z])(?!{_IN_WORD})(?!'[A-Za-z])")
ALONE = lazily(
    rf"(?:[^\w\n\u274c\u2716\u2717\u2718\u00ac~!]|_){{0,8}}(?:\d{{1,2}}[.)]\s{{0,4}})?{_WRAP}"
    rf"(?:the\s)?{_NOUN}{_WRAP}([a-z])(?:\W{{1,4}}\1\b){{0,40}}\s?(?:{wordings('after')})?"
    rf"{_CLOSE}[^\w\n]{{0,4}}\s*$",
    re.I | re.M,
)
JOINT = lazily(r"\W*(?:or|and|and/or|versus|vs|oder|ou|o)\W*", re.I)
"""A line between two letters."""
_TURN_ROUND = (
    r"(?:correction|(?:scratch|strike) that|oops|actually|no wait|wait|I mean|I meant|or rather"
    r"|make that|on second thoughts?"
    r"|chang(?:e|ed|ing)(?: it| that| my answer)? to|switch(?:ed|ing)? to)"
)
_ALL_BUT = (
    r"\b(?:none|nothing|all|everything|every \w+|each \w+)(?: (?:of|the|them|these"
    r"|others?|options|choices)){0,3} (?:but|except(?: for)?|other than|apart from|besides)\s{1,4}"
)
"""Of one letter the reverse is said of what is said of all others."""
ONLY_ONE = lazily(rf"{_ALL_BUT}{_NOUN}{_WRAP}$", re.I)
BEFORE_STATED = lazily(
    rf"(?:{STATED.pattern}"
    r"|\b(?:correct|best|right|only|final|my) (?:option|choice|one|letter|pick|guess|statement)"
    rf"{_CLOSE}"
    rf"\s{{1,4}}{_BE}\b:?\s{{1,4}}"
    r"|\b(?:option|choice|one) (?:that|which) (?![^.,:;\n]{0,40}\b(?:not|wrong|incorrect|least"
    r"|false|does|fails?|can)\b)"
    rf"[^.,:;\n]{{1,40}}? {_BE}\s{{1,4}}"
    r"|\b(?:(?:(?<=, )|^)which (?:is|means)|match(?:es|ing)|correspond(?:s|ing) to|points to"
    r"|left with)\s{1,4}"
    rf"|\b(?:{wordings('picks')})\s{{1,4}}{_ARTICLE}"
    r"|\b(?:finally|ultimately|in the end|settl(?:e|ing) on|stick(?:ing)? with|leaves?"
    r"|leaving)(?: (?:us|you))?(?: with)?[,:]?"
    r"\s{1,4}(?:only\s|just\s)?|(?:^|[.!?,;\n]\s{0,4})(?:must be|going with|picking|choosing)\s"
    rf"|{_ALL_BUT}"
    r"|\b(?:correct|right|solution|conclusion|result|choice|option|letter|selection|pick|guess"
    r"|vote|ans\.?)"
    r"(?: (?:option|choice))?[*_]{0,3}\s{0,4}:\s{0,4}|\bans\.\s"
    r"|\b(?:I|we)(?:'d|'ll|'m| would| will| am)? (?:choose|pick|select|prefer|say|answer"
    rf"|vote(?: for)?|(?:go|going) (?:with|for)|think|believe|guess)(?: that)?(?: it(?:'s"
    rf"| {_BE}))?\s{{1,4}}"
    r"|\bif I (?:had|have) to (?:choose|pick|guess|answer|say|decide)(?: one)?,?\s{1,4}"
    r"|\b(?:the|my) (?:letter|pick|choice|guess) is\s{1,4}"
    r"|\blet(?:'s| us) (?:go with|say|pick)\s|(?:^|[.!?\n]\s{0,4})(?:choose|select|pick|go with)\s"
    rf"|\b(?:it|that|this)(?:'s| {_BE})\s{{1,4}}|\bsondern\s|\bsino\s|\u800c\u662f\s{{0,2}}"
    rf"|\b{_TURN_ROUND}\b[,.:;!\s-]{{1,4}}"
    r"|(?:^|[.!?,;\n-]\s{0,4})no(?:pe)?[,:;.!] {1,4}(?:sorry[,.]?\s)?"
    rf"|\bnot\s{{1,4}}{_NOUN}{_WRAP}[a-z]{_CLOSE},?\s{{1,4}}but\s{{1,4}}(?:rather\s)?)"
    rf"{_HEDGE}[*_`\"'(\[]{{0,3}}{_NOUN}{_WRAP}$",
    re.I,
)
_ASIDES = r"(?:\s\([^()\n]{1,60}\))?"
"""The words of its option, in brackets after a letter."""
PREFERRED = lazily(
    rf"{_CLOSE}{_ASIDES}\s{{1,4}}(?:is|was|must be|has to be|seems|looks|appears)(?: to be)?"
    r"\s{0,4}"
    r"(?:$|[.!,;\n]|(?:\s(?:clearly|also|definitely|obviously|indeed|therefore|thus|both|all)){0,2}"
    r"\s{0,4}(?:the\s)?(?:one\b|answer\b"
    r"|(?:(?:most|more|partially|exactly|actually|clearly|by far|even|much|far) ){0,2}"
    r"(?:correct|right|true|best|better|accurate|appropriate|likely|plausible|reasonable"
    r"|logical|suitable)\b"
    r"|only (?:one|option|choice) (?:that|which) (?:fits|works|matches|holds|makes sense|is (?:"
    r"correct|right|true))\b))"
    rf"|{_CLOSE}\s{{1,4}}(?:as )?the (?:only |most )?(?:correct|right|best|likely) (?:answer|option"
    r"|choice)\b"
    rf"|{_CLOSE}\s{{1,4}}(?:is|was|would be) (?:too(?=\s{{0,2}}(?:[.!,;\n]|$))"
    r"|as well|my (?:choice|pick|answer|vote|guess))\b"
    rf"|{_CLOSE}\s{{1,4}}(?:isn't|is not|wasn't|was not) (?:incorrect|wrong|false|invalid|untrue)\b"
    rf"|{_CLOSE}\s{{1,4}}(?:remains|fits|works|holds|applies|wins|does too|is left"
    rf"|makes (?:the most )?sense"
    r"|makes the best sense|best (?:fits|matches|answers|describes)|matches best|stands out|it is"
    r"|\((?:right|correct)"
    r"|(?:alone|only) is (?:correct|right|true))\b"
    rf"|{_CLOSE}\s{{1,4}}does\s{{0,4}}[.!]|{_CLOSE}\s{{0,4}}[:-]\s{{0,4}}(?:correct|right|true"
    rf"|yes)\b",
    re.I,
)
"""After a letter of which it is said that it is the right one."""
LONE = lazily(
    r"(?:^\W{0,8}|[.!?:;)\n]\s{0,4}|\s-\s|(?<!thing)(?<!none)(?<!all)(?:,|(?<=\w))\s(?=but|so|however|yet|hence|thus"
    r"|therefore))(?:(?:so|thus|hence|therefore"
    r"|sure|ok|okay|eh|hm|of course|certainly|yes|yeah|probably|definitely|clearly|obviously|likely"
    r"|most likely|maybe|perhaps|then|well|right|again|but|however|yet|only|just|hmm|um|ah|oh"
    r"|sorry|ergo|by (?:process of )?elimination"
    r"|alright)"
    rf"[,:!.]?\s{{1,4}}){{0,3}}"
    rf"(?:(?:a |{_ARTICLE})(?:[^\W\d_]{{2,15}}\s)?(?:{wordings('answer')})\s{{1,4}}{_ARTICLE}"
    rf"|{_NOUN}){_WRAP}$",
    re.I,
)
LONE_ENDS = lazily(
    rf"{_CLOSE}(?: (?:only|alone|and nothing else|all the way|for sure|obviously|definitely"
    rf"|of course)"
    rf"|\s?(?:{wordings('after')}))?\s{{0,4}}(?:[.!;\u0964\u3002]|$)",
    re.I | re.M,
)
"""What stands around a letter that is a sentence of its own."""
BEFORE_OPENING = lazily(
    r"(?:\W{0,4}(?:sure|okay|ok|certainly|of course|absolutely|great question)[,:!.]{1,3}\s{1,4})?"
    rf"{_WRAP}{_NOUN}{_WRAP}",
    re.I,
)
AFTER_SENTENCE = lazily(
    rf"{_CLOSE}{_ASIDES}\s{{1,4}}(?:(?:is|was|seems|looks|sounds|beats)\b(?! an? )|would be\b)"
)
"""After a letter about which a sentence begins: it is weighed when another one comes along."""
AFTER_OPENING = lazily(
    r"[)\]}*_$`\"'>|]+|[.:,;][*_]{0,3}(?=\s|$)|\s[-:=]\s|\s\("
    r"|\s(?:isn't|because|since|due to|as|rather than|instead of|over|not)\b",
    re.I,
)
ASKED = lazily(rf"{_CLOSE}\?")
GIVES_REASON = lazily(rf"{_CLOSE}\s{{1,4}}(?:because|since)\b", re.I)
OPTION_TEXT = lazily(r"[)\]}*_$`\"'>]{0,6}[).:][*_]{0,3}\s{1,4}(?!Incorrect|Wrong)[A-Z]")
"""After a letter the words of its option, which say nothing about it (``B) Cannot be known``)."""
_RIGHT_OR_WRONG = (
    r"(?:(?P<right>(?:correct|right|true|yes)\b|[\u2713\u2714\u2705\u2611])"
    r"|(?P<wrong>(?:incorrect|wrong|false|no|not (?:correct|right|true))\b"
    r"|[\u2717\u2718\u274c\u2716\u00d7]))"
)
VERDICT = lazily(
    rf"(?<![\w'])(?P<letter>[A-Z]){_CLOSE}\s{{0,2}}[).:=-]?\s{{0,3}}(?:is\s|was\s)?"
    rf"{_RIGHT_OR_WRONG}(?!,? (?:true|false|yes|no)\b)",
    re.I,
)
"""A letter and whether it is right, in a list of such."""
VERDICT_OF_LINE = lazily(
    rf"^\W{{0,8}}(?:option\s)?(?P<letter>[A-Z]){_CLOSE}[).:][^\n]{{1,80}}?"
    r"(?:\s(?:is|was)\s(?:the\s)?|\s?[-:=(\u2192]\s{0,2}(?:is\s)?|\s(?=[\u2713-\u274c]))[*_]{0,3}"
    rf"{_RIGHT_OR_WRONG}(?:\s(?:one|answer|option|choice))?\W*$",
    re.I | re.M,
)
"""The same with the words of the option between, a line each."""
MARK_FIRST = lazily(
    r"(?:(?P<right>[\u2713\u2714\u2705\u2611]|\[x\])|(?P<wrong>[\u2717\u2718\u274c\u2716]"
    rf"|\[ \]))\s{{0,3}}{_NOUN}{_WRAP}(?P<letter>[A-Z])(?!{_IN_WORD})",
    re.I,
)
"""The same with the verdict before the letter."""
IN_TURN = lazily(rf"[^\w\n]*A{_MARKED}[^\n]*\n+[^\w\n]*B{_MARKED}[^\n]*\n+[^\w\n]*C{_MARKED}", re.I)
"""One option after the other is looked at, from the first line on."""
ONE_BY_ONE = lazily(r"^\W{0,8}(?:option|choice)\s{1,4}\W{0,2}([A-Z])\b\W{0,4}:", re.I | re.M)
SO_NO = lazily(r"[,:;-]\s{1,4}(?:so|hence|thus|therefore)?,?\s{0,4}no\W{0,4}$", re.I)
"""A line that talks about an option before the next one is looked at."""
CORRECTS = lazily(
    rf"^\W{{0,8}}(?:{_TURN_ROUND}"
    r"|(?:updated|corrected|revised|amended|new|changed|final) (?:answer|choice|response))\b",
    re.I | re.M,
)
"""A line that takes back what stands above it."""
BEFORE_DENIED = lazily(
    r"(?:\b(?:not|never|neither|nor|than|instead of|except|exclude|eliminate|reject|discard|strike"
    r"|forget|ignore|dismiss|unlike|compared (?:with|to)|beats|better than|(?:incorrect|wrong):"
    r"|(?:can't|cannot|won't|wouldn't) (?:say|claim)(?: that)?(?: it(?:'s| is))?"
    r"|although|though|while|whereas|even if|rul(?:e|ing) out|cross out|over"
    r"|doubt(?: that)? it(?:'s| is)|(?:don't|do not|wouldn't|would not) (?:think|believe|say"
    r"|choose|pick|select)(?: that)?(?: it(?:'s| is)| the answer is)?)|n't"
    r"|[\u274c\u2716\u2717\u2718\u00ac])"
    rf"\s{{0,4}}(?:be\s)?{_NOUN}{_WRAP}$",
    re.I,
)
AFTER_REJECTED = lazily(
    rf"{_CLOSE}{_ASIDES}\s{{1,4}}(?!(?:isn't|is not|wasn't|was not) (?:incorrect|wrong|false"
    rf"|invalid|untrue))(?:(?:isn't|wasn't|aren't|weren't|cannot be|can't be|doesn't|does not)\b"
    r"|(?:is|was|are|were|seems|looks|seemed|looked|can be|may be|might be|sounds)\s{1,4}"
    r"(?:(?:clearly|also|definitely|obviously|just|simply|initially|tempting but|both|all|therefore"
    r"|thus)\s{1,4}){0,2}"
    r"(?:not\b(?!\s+only)|incorrect|invalid|wrong|false|out\b|ruled out|eliminated|unlikely"
    r"|excluded|rejected|impossible|a distractor|tempting"
    r"|(?:my|the) (?:first|initial|original) (?:thought|guess|choice|answer|idea))"
    rf"|\((?:wrong|incorrect|false|no)\b)"
    rf"|{_CLOSE}\s{{0,4}}[:-]\s{{0,4}}(?:wrong|incorrect|false|no)\b",
    re.I,
)
BETWEEN_JOINED = lazily(
    rf"{_CLOSE}\s{{0,4}}(?:[(\[]\s{{0,2}}(?:or|and|maybe|possibly|perhaps)\s{{1,4}}"
    r"|[,/|&+\u3001\u2228]\s{0,4}(?:(?:or|and)\s{1,4})?"
    r"|[.?!]{1,3}\s{0,4}(?:or|and)\s{1,4}|(?<=[)\]]\s)|\d[.)]\s{1,4}|is\s\w{1,12},?\s{1,4}(?:and"
    r"|but)\s{1,4}so\s(?:is|does)\s{1,4}"
    r"|(?:and/or|or|and|versus|vs\.?|plus|as well as|along with|together with"
    r"|oder|und|ou|et|o|y|e|\u0438\u043b\u0438|\u0438)\s{1,4}"
    r"|(?:\u6216\u8005?|\u548c|\u4e0e|\u8207|\u53ca|\u3068|\u304b|\u307e\u305f\u306f"
    r"|\ub610\ub294)\s{0,4})"
    rf"(?:(?:maybe|possibly|perhaps|also|even|either)\s{{1,4}}){{0,2}}{_NOUN}{_WRAP}",
    re.I,
)
ASIDE = lazily(
    rf"\b(?:unlike|compared (?:with|to)|instead of|rather than|besides) {_NOUN}{_WRAP}$", re.I
)
"""Before a letter that the one after the comma is set against."""
BETWEEN_LISTED = lazily(
    rf"{_CLOSE}\s{{0,2}};\s{{0,4}}{_NOUN}{_WRAP}|{_CLOSE}\s{{0,2}}=?{_WRAP}(?<=[^\w'\"-])", re.I
)
CORRECTED = lazily(
    r"\b(?:but|actually|however|no|wait|rather|instead|correction|hmm|sorry|mean|meant"
    r"|second thoughts?|first|initially|nope|chang\w+|switch\w*)\b",
    re.I,
)
