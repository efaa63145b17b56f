# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What the documents name exists: links, paths, commands, options."""

import argparse
import importlib.util
import re
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([
    ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md'),
    *(ROOT / 'configs').rglob('README.md')])
LINK = re.compile(r'\[[^\]]*\]\(([^()\s]+)\)')
NAMED = re.compile(r'(?<![\w./$-])((?:configs|tools|docs|tests)/[\w.*/$-]+)')
BLOCK = re.compile(r'^```bash\n(.*?)^```', re.M | re.S)
INDENTED = re.compile(r'^    ((?:python|bash) tools/.*\n)', re.M)
HEADING = re.compile(r'^#+ (.*)$', re.M)
CAPITALS = re.compile(r'^[A-Z][A-Z0-9_]*(\.[a-z]+)?$')


def page_id(page):
    return page.relative_to(ROOT).as_posix()


def anchor(heading):
    """The fragment that GitHub gives to a heading."""
    text = re.sub(r'[^\w\- ]', '', heading.strip().lower())
    return text.replace(' ', '-')


def is_placeholder(path):
    """Paths that the reader has to complete: CONFIG.py, $DATA, NAME."""
    return '$' in path or any(
        CAPITALS.match(part) and part != 'README.md'
        for part in path.split('/'))


def commands(text):
    """Lines of bash blocks, continued ones joined, without comments."""
    blocks = BLOCK.findall(text) + INDENTED.findall(BLOCK.sub('', text))
    for block in blocks:
        for line in re.sub(r'\\\n', ' ', block).splitlines():
            line = line.strip().removeprefix('$ ')
            yield re.sub(r'\s#.*$', '', line)


def tool_calls():
    for page in PAGES:
        for line in commands(page.read_text(encoding='utf-8')):
            # A loop or a test may stand before the command.
            match = re.search(
                r'(?:^|[;&|]\s*|\bdo )((?:\w+=\S+ )*)(python|bash)\s+'
                r'(tools/\S+\.(?:py|sh))(.*)$', line)
            if match:
                yield pytest.param(
                    match[2], match[3], match[4],
                    id=f'{page_id(page)}: {match[3]}{match[4]}'[:120])


@cache
def options_of(tool):
    """Option strings of a tool's own argument parser, and its commands."""
    spec = importlib.util.spec_from_file_location('a_tool', ROOT / tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    parsers = []

    def parse(parser, *args, **kwargs):
        parsers.append(parser)
        raise SystemExit(0)

    before = argparse.ArgumentParser.parse_args
    argv = sys.argv
    argparse.ArgumentParser.parse_args = parse
    sys.argv = [tool]
    try:
        module.main()
    except SystemExit:
        pass
    finally:
        argparse.ArgumentParser.parse_args = before
        sys.argv = argv
    assert parsers, f'{tool}: main() made no argument parser'
    return _option_strings(parsers[0])


def _option_strings(parser):
    found = set()
    for action in parser._actions:
        found.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found |= _option_strings(inner)
    return found


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding='utf-8')
    wrong = []
    for target in LINK.findall(text):
        if re.match(r'[a-z]+:', target):
            continue
        path, _, fragment = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            wrong.append(f'{target}: no such file')
        elif fragment and file.suffix == '.md':
            headings = HEADING.findall(file.read_text(encoding='utf-8'))
            if fragment not in {anchor(heading) for heading in headings}:
                wrong.append(f'{target}: no such heading')
    assert not wrong


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_paths_in_the_text_exist(page):
    text = page.read_text(encoding='utf-8')
    # Addresses of other sites have folders of the same names.
    text = re.sub(r'\w+://\S+', '', text)
    wrong = []
    for name in NAMED.findall(text):
        name = name.rstrip('.')
        if is_placeholder(name):
            continue
        found = list(ROOT.glob(name.rstrip('/'))) if '*' in name else \
            [ROOT / name] if (ROOT / name).exists() else []
        # A page may name files relative to its own folder.
        if not found and not (page.parent / name).exists():
            wrong.append(name)
    assert not wrong


@pytest.mark.parametrize('program, tool, rest', list(tool_calls()))
def test_commands_have_tools_and_options_that_exist(program, tool, rest):
    assert (ROOT / tool).is_file(), f'no {tool}'
    assert program == ('bash' if tool.endswith('.sh') else 'python')
    if not tool.endswith('.py'):
        return
    try:
        words = shlex.split(rest)
    except ValueError:  # a quotation that goes on in the next line
        words = rest.split()
    given = {word.partition('=')[0] for word in words
             if re.match(r'--[a-z]', word)}
    unknown = given - options_of(tool)
    assert not unknown, f'{tool} has no {sorted(unknown)}'


def test_the_documents_were_found():
    assert len(PAGES) > 5
    assert len(list(tool_calls())) > 10
