"""What a gate found, for people and for machines."""

from evalkit.gate.output.annotations import as_annotations, command, commands_stopped, in_actions
from evalkit.gate.output.json import as_json
from evalkit.gate.output.junit import as_junit
from evalkit.gate.output.markdown import as_markdown
from evalkit.gate.output.terminal import for_terminal
from evalkit.gate.output.words import exit_code_of, outcome_of

__all__ = [
    "as_annotations",
    "as_json",
    "as_junit",
    "as_markdown",
    "command",
    "commands_stopped",
    "exit_code_of",
    "for_terminal",
    "in_actions",
    "outcome_of",
]
