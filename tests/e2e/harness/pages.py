"""The commands that the documentation shows, in the order in which a reader meets them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

SHELL_FENCES = ("```", "```console", "```sh")
OURS = re.compile(r"(?:source <\()?(?:agentcore|coracle) ")


@dataclass
class Chapter:
    """What is below one heading of a page."""

    page: str
    title: str
    # In blocks: all of them, since each builds on those before it.
    shown: list[str] = field(default_factory=list)
    # Between backquotes: those that stand nowhere before, nor in any block.
    mentioned: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.page}: {self.title}"


def chapters(root: Path) -> list[Chapter]:
    """The chapters of README.md and docs/ that show or mention commands."""
    paths = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    found = [each for path in paths for each in _of_page(path.relative_to(root).as_posix(), path.read_text())]
    seen = {command for chapter in found for command in chapter.shown}
    for chapter in found:
        chapter.mentioned = [command for command in dict.fromkeys(chapter.mentioned) if command not in seen]
        seen.update(chapter.mentioned)
    return [chapter for chapter in found if chapter.shown or chapter.mentioned]


def _of_page(page: str, text: str) -> list[Chapter]:
    found = [Chapter(page, "")]
    fence, prose = "", ""
    for line in text.splitlines():
        if line.startswith("```"):
            found[-1].mentioned += _quoted(prose)
            fence, prose = ("" if fence else line.strip()), ""
        elif fence in SHELL_FENCES:
            found[-1].shown += _commands(line)
        elif not fence and line.startswith("## "):
            found[-1].mentioned += _quoted(prose)
            found.append(Chapter(page, line.removeprefix("## ")))
            prose = ""
        elif not fence:
            prose += line + "\n"
    found[-1].mentioned += _quoted(prose)
    return found


def _commands(line: str) -> list[str]:
    """Those of a line of a block, and the other ones that its comment may name."""
    command, _, comment = line.removeprefix("$ ").partition(" # ")
    lines = [command] + ([comment.removeprefix("or: ")] if comment.startswith("or: ") else [])
    return [part.strip() for each in lines for part in each.split(" && ") if part.strip()]


def _quoted(prose: str) -> list[str]:
    commands = (" ".join(quoted.split()) for quoted in re.findall(r"`([^`]+)`", prose))
    return [command for command in commands if OURS.match(command)]
