"""Finds calls that may wait without end, in a source, without running it.

By what is called where that is imported, by the method's name elsewhere: of a receiver nothing is
known. What cannot wait for long by itself, and only lets others wait (a lock, a pool, a socket), is
found where it is made.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.unit.imports import parsed


@dataclass(frozen=True)
class Wait:
    """A call: where it is, as `Class.method: what is called`, its line, and what it lacks."""

    place: str
    line: int
    lacks: str


def waits(source: str) -> list[Wait]:
    """The calls of a source that may wait without end."""
    tree = parsed(source)
    names = _imported(tree)
    found = []
    for node, within in _nodes(tree, ()):
        if isinstance(node, ast.Call):
            called = _full_name(node.func, names)
            if lacks := _lacks(node, called):
                found.append(Wait(f"{'.'.join(within)}: {called}".lstrip(": "), node.lineno, lacks))
        elif isinstance(node, ast.Dict) and (lacks := _dict_lacks(node)):
            found.append(Wait(f"{'.'.join(within)}: {{}}".lstrip(": "), node.lineno, lacks))
    return found


def _nodes(tree: ast.AST, within: tuple[str, ...]) -> Iterator[tuple[ast.AST, tuple[str, ...]]]:
    for child in ast.iter_child_nodes(tree):
        yield child, within
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _nodes(child, (*within, child.name) if named else within)  # type: ignore[attr-defined]


def _imported(tree: ast.AST) -> dict[str, str]:
    """What names that are imported, anywhere, stand for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def _full_name(func: ast.expr, names: dict[str, str]) -> str:
    if not isinstance(func, ast.Name | ast.Attribute):
        return f"(…).{func.__class__.__name__}"
    text = ast.unparse(func)
    first, dot, rest = text.partition(".")
    return f"{names.get(first, first)}{dot}{rest}"


class _Arguments:
    def __init__(self, call: ast.Call) -> None:
        self.given = [arg for arg in call.args if not isinstance(arg, ast.Starred)]
        self.named = {word.arg: word.value for word in call.keywords if word.arg}
        # Of `*arguments` and `**options` nothing is known; they are no time-out.

    def has(self, name: str, at: int | None = None) -> bool:
        """Whether there is such an argument, and it is not None; `at`: by its place as well."""
        value = self.named.get(name)
        if value is None and at is not None and len(self.given) > at:
            value = self.given[at]
        either = (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,)
        return not any(
            each is None or (isinstance(each, ast.Constant) and each.value is None)
            for each in either
        )

    def is_false(self, name: str, at: int) -> bool:
        value = self.named.get(name, self.given[at] if len(self.given) > at else None)
        return isinstance(value, ast.Constant) and value.value is False

    def mentions(self, name: str) -> bool:
        return any(name in ast.unparse(each) for each in (*self.given, *self.named.values()))


Rule = Callable[[_Arguments], bool]  # whether such a call has an end


def _needs(*names: str, at: int | None = None) -> Rule:
    return lambda found: all(found.has(name, at) for name in names)


def _never(_: _Arguments) -> bool:
    return False


def _each(names: str, rule: Rule, lacks: str) -> dict[str, tuple[Rule, str]]:
    return dict.fromkeys(names.split(), (rule, lacks))


_A_REASON = "needs a reason: what is done while it lasts, and what bounds that"
_BOUNDED = "has no bound of its own"

# By full name.
_FUNCTIONS = {
    **_each(
        "subprocess.run subprocess.call subprocess.check_call subprocess.check_output "
        "concurrent.futures.as_completed",
        _needs("timeout"),
        "timeout=",
    ),
    **_each("concurrent.futures.wait", _needs("timeout", at=1), "timeout="),
    **_each("urllib.request.urlopen", _needs("timeout", at=2), "timeout="),
    **_each("socket.create_connection", _needs("timeout", at=1), "timeout="),
    **_each("asyncio.wait_for", _needs("timeout", at=1), "timeout="),
    **_each("select.select", _needs("timeout", at=3), "timeout="),
    **_each(
        "redis.Redis redis.StrictRedis redis.from_url redis.Redis.from_url redis.ConnectionPool "
        "redis.BlockingConnectionPool redis.ConnectionPool.from_url",
        _needs("socket_timeout", "socket_connect_timeout"),
        "socket_timeout=, socket_connect_timeout=",
    ),
    **_each("fcntl.flock fcntl.lockf", lambda found: found.mentions("LOCK_NB"), "LOCK_NB"),
    **_each("os.waitpid", lambda found: found.mentions("WNOHANG"), "WNOHANG"),
    **_each(
        "subprocess.getoutput subprocess.getstatusoutput os.system os.popen os.wait os.wait3 "
        "os.wait4 os.waitid os.spawnl os.spawnv signal.pause signal.sigwait "
        "socket.getaddrinfo socket.gethostbyname socket.gethostbyname_ex socket.gethostbyaddr "
        "socket.getnameinfo socket.getfqdn huggingface_hub.snapshot_download "
        "huggingface_hub.hf_hub_download",
        _never,
        _BOUNDED,
    ),
    # Their time-outs begin anew with every byte; `clipfleet.connections` and `Loop` hold one.
    **_each(
        "urllib3.PoolManager urllib3.ProxyManager urllib3.HTTPConnectionPool urllib3.request "
        "urllib3.HTTPSConnectionPool urllib3.connection_from_url http.client.HTTPConnection "
        "http.client.HTTPSConnection httpx.get httpx.post httpx.put httpx.request httpx.stream "
        "httpx.Client httpx.AsyncClient requests.get requests.post requests.put requests.head "
        "requests.request requests.Session openai.OpenAI openai.AsyncOpenAI",
        _never,
        "a deadline for the whole request",
    ),
    **_each(
        "threading.Lock threading.RLock threading.Semaphore threading.BoundedSemaphore "
        "threading.Condition threading.Barrier queue.Queue queue.LifoQueue queue.PriorityQueue "
        "queue.SimpleQueue multiprocessing.Lock multiprocessing.Queue multiprocessing.Pool "
        "multiprocessing.Process socket.socket selectors.DefaultSelector select.poll select.epoll "
        "concurrent.futures.ThreadPoolExecutor concurrent.futures.ProcessPoolExecutor",
        _never,
        _A_REASON,
    ),
    **_each(  # one that is no daemon is waited for when the process ends
        "threading.Thread", lambda found: found.mentions("True") and found.has("daemon"), "daemon="
    ),
}

# By a method's name.
_METHODS = {
    "wait": (_needs("timeout", at=0), "timeout="),
    "communicate": (_needs("timeout", at=1), "timeout="),
    "join": (_needs("timeout", at=0), "timeout="),  # that of a text has an argument
    "get": (
        lambda found: (
            found.has("timeout", at=1)
            or found.is_false("block", at=0)
            or (bool(found.given) and not found.mentions("True"))  # a dictionary's
        ),
        "timeout=",
    ),
    "result": (_needs("timeout", at=0), "timeout="),
    "exception": (_needs("timeout", at=0), "timeout="),  # that of a log has an argument
    "acquire": (
        lambda found: found.has("timeout", at=1) or found.is_false("blocking", at=0),
        "timeout=",
    ),
    "run": (  # of a `Loop`
        lambda found: "timeout_s" not in found.named or found.has("timeout_s"),
        "timeout_s=",
    ),
}


def _lacks(call: ast.Call, called: str) -> str | None:
    found = _Arguments(call)
    if called in _FUNCTIONS:
        rule, lacks = _FUNCTIONS[called]
    elif isinstance(call.func, ast.Attribute) and call.func.attr in _METHODS:
        rule, lacks = _METHODS[call.func.attr]
    else:
        return None
    return None if rule(found) else lacks


def _dict_lacks(node: ast.Dict) -> str | None:
    """Of the options of a broker's transport."""
    keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
    if keys & {"socket_connect_timeout", "visibility_timeout"} and "socket_timeout" not in keys:
        return "socket_timeout"
    return None
