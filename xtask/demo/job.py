"""The demo's job: one source file in, its measures out.

Every way of the demo calls the same two functions of this module: `measure_file`, real work of
some milliseconds, and `noop`, whose time is the pool's own.
"""

import ast
import tokenize
import warnings

# Sources of other people may hold doubtful escapes; parsing them warns. Set here, so that every
# process and every interpreter that loads the job has it.
warnings.filterwarnings("ignore", category=SyntaxWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTED = (ast.Module, ast.ClassDef, *FUNCTIONS)
BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.comprehension,
    ast.match_case,
)


def noop(x):
    """Returns its argument."""
    return x


def measure_file(path):
    """Returns the measures of one source file as a dict of plain values.

    A file that is no Python (test data in the standard library) has only `path` and `error`.
    """
    try:
        with tokenize.open(path) as file:
            text = file.read()
        lines = iter(text.splitlines(keepends=True))
        tokens = sum(1 for _ in tokenize.generate_tokens(lambda: next(lines, "")))
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        return {"path": path, "error": type(error).__name__}
    functions = []
    documentable = documented = 0
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED):
            documentable += 1
            documented += ast.get_docstring(node, clean=False) is not None
        if isinstance(node, FUNCTIONS):
            length = node.end_lineno - node.lineno + 1
            functions.append((complexity(node), node.name, node.lineno, length))
    functions.sort(key=lambda function: (-function[0], function[2]))
    return {
        "path": path,
        "lines": text.count("\n"),
        "tokens": tokens,
        "documentable": documentable,
        "documented": documented,
        "longest": max((length for *_, length in functions), default=0),
        "functions": functions,
    }


def complexity(function):
    """Returns the cyclomatic complexity (McCabe 1976) of one function, inner functions left out."""
    decisions = 1
    todo = list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        if isinstance(node, FUNCTIONS):
            continue
        if isinstance(node, BRANCHES):
            decisions += 1
        elif isinstance(node, ast.BoolOp):
            decisions += len(node.values) - 1
        todo.extend(ast.iter_child_nodes(node))
    return decisions
