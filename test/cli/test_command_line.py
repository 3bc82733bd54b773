"""The command line as a user meets it: help, examples, completion, mistakes, and ends that come early."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cosmos_ros.cli._arguments import parse
from cosmos_ros.cli.main import main, verb_of, verbs
from cosmos_ros.types import Mode

COMMAND = [sys.executable, "-m", "cosmos_ros.cli"]


def leaves() -> dict[str, type]:
    """Words of a command → its dataclass, for every verb and action."""
    found = {}
    for name in verbs():
        verb = verb_of(name)
        actions = (
            {f"{name} {action}": kind for action, kind in verb.items()} if isinstance(verb, dict) else {name: verb}
        )
        found.update(actions)
    return found


LEAVES = leaves()


def parsed(line: str) -> object:
    """What a command line means."""
    words = shlex.split(line)
    name = next(leaf for leaf in (" ".join(words[:2]), words[0]) if leaf in LEAVES)
    return parse(LEAVES[name], name, words[len(name.split()) :])


def help_of(words: list[str], capsys) -> str:
    try:
        assert main([*words, "--help"]) == 0
    except SystemExit as end:
        assert not end.code
    return capsys.readouterr().out


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_every_help_has_an_example_that_can_be_given(leaf: str, capsys) -> None:
    text = help_of(leaf.split(), capsys)
    (example,) = [line.partition(": cosmos-ros ")[2] for line in text.splitlines() if "For example: " in line]
    assert example.startswith(leaf)
    assert isinstance(parsed(example), LEAVES[leaf])


def test_help_names_verbs_actions_and_launch_arguments(capsys) -> None:
    text = help_of([], capsys)
    assert all(f"\n  {name} " in text for name in verbs()) and all(verbs().values())
    text = help_of(["actions"], capsys)
    assert "decode  Decode model actions" in text
    text = help_of(["up", "predict"], capsys)
    assert "world_model:='flow'" in text and "One of: " in text and "bag:=" not in text
    assert "bag:=''" in help_of(["up", "replay"], capsys)


def test_what_options_mean() -> None:
    play = parsed("play --topics a /b --clock --wait-for a --rate 2 -- bag")
    assert (play.topics, play.wait_for, play.clock, play.rate, play.bag) == (
        ("/a", "/b"),
        ("/a",),
        100.0,
        2.0,
        Path("bag"),
    )
    assert parsed("play bag --clock 50").clock == 50.0 and parsed("play bag").clock == 0.0
    evaluate = parsed(
        "evaluate a b --out o --cameras wrist=/w,left=/l --baselines flow --modes policy --set x=1 --set y=2 "
        "--commands /c,/d --no-pictures"
    )
    assert evaluate.bags == (Path("a"), Path("b")) and evaluate.cameras == {"wrist": "/w", "left": "/l"}
    assert (evaluate.baselines, evaluate.modes) == (("flow",), {Mode.POLICY})
    assert (evaluate.sampler, evaluate.commands) == (("x=1", "y=2"), ("/c", "/d"))
    assert (evaluate.pictures, evaluate.annotate, evaluate.resume) == (False, True, False)
    assert parsed("evaluate a --out o --baselines ''").baselines == ()
    predict = parsed(
        "predict --image wrist=a.png --image b.png --joints -.3,0,.5 --seed=-1 --setting a=1 --setting b=2"
    )
    assert (predict.image, predict.joints, predict.seed) == (("wrist=a.png", "b.png"), "-.3,0,.5", -1)
    assert predict.setting == ("a=1", "b=2")
    assert parsed("demo seed:=1 task:='put it' --seed 3").launch == {"seed": "1", "task": "put it"}
    assert parsed("up predict cameras:= model:=a:=b").arguments == {"cameras": "", "model": "a:=b"}
    assert parsed("export-lerobot a b out --fps 10").paths == (Path("a"), Path("b"), Path("out"))
    assert parsed("embodiments validate a b").embodiments == ("a", "b")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "VERB is missing; choose one of: actions, bench"),
        ("paly", "'paly' is not known; choose one of: actions"),
        ("actions", "ACTION is missing; choose one of: decode, encode"),
        ("guard arms", "'arms' is not known; choose one of: check, run"),
        ("--print-completion fish", "choose one of: bash, zsh"),
        ("up predict world_model=flow", "'world_model=flow' is not name:=value"),
        ("up predict wrold_model:=flow", "argument wrold_model is not known"),
        ("up replay bag:=/no/such/bag", "/no/such/bag"),
        ("up replay bag:=/no/such/bag rate:=fast", "/no/such/bag"),
        ("evaluate a --out b --cameras wrist", "'wrist' is not NAME=VALUE"),
        ("evaluate a --out b --modes dreaming", "'dreaming' is not a valid Mode; allowed: policy"),
        ("evaluate --out b", "no recording was given"),
        ("embodiments validate", "no embodiment was given"),
        ("demo --embodiment umi", "umi has no joints"),
        ("export-lerobot out", "give at least one recording and the folder"),
        ("record out --all --duration -1", "-1.0 is not positive"),
        ("play bag --delay -1", "-1.0 is outside"),
    ],
)
def test_mistakes_end_in_one_line(line: str, problem: str, capsys) -> None:
    assert main(shlex.split(line)) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("cosmos-ros") and problem in error


@pytest.mark.parametrize(
    "line",
    [
        "play",
        "play bag --nope",
        "bench pipeline --transport pigeon",
        "predict",
        "predict --image a --bag b",
        "record out",
        "record out --all --topics a",
        "compare a",
        "rollout --image a --horizon 1.5",
        "actions decode --actions a",
    ],
)
def test_wrong_options_end_with_status_2(line: str, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(shlex.split(line))
    assert end.value.code == 2 and "--help" in capsys.readouterr().err


def test_completion_completes(tmp_path: Path, capsys) -> None:
    for shell in ("bash", "zsh"):
        assert main(["--print-completion", shell]) == 0
        (tmp_path / shell).write_text(capsys.readouterr().out)
    text = (tmp_path / "bash").read_text()
    function = next(line.split()[2] for line in text.splitlines() if line.startswith("complete -F"))
    for words, expected in (("pla", "play"), ("play --incl", "--include-commands"), ("actions enc", "encode")):
        script = f"COMP_WORDS=(cosmos-ros {words}); COMP_CWORD={len(words.split())}; {function} cosmos-ros"
        script = f'. {tmp_path / "bash"}; {script}; echo "${{COMPREPLY[@]}}"'
        assert subprocess.check_output(["bash", "-c", script], text=True).split() == [expected]
    assert (tmp_path / "zsh").read_text().startswith("#compdef cosmos-ros")


def test_the_overview_imports_nothing_heavy() -> None:
    code = "import sys; from cosmos_ros.cli.main import main; main(['--help'])\n"
    code += "sys.exit({'numpy', 'yaml', 'tyro', 'rclpy'} & set(sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_tyro_the_command_says_so_and_the_rest_works() -> None:
    code = "import sys; sys.modules['tyro'] = None\n"
    code += "from cosmos_ros.bringup import launch_description, player_process, processes\n"
    code += "from cosmos_ros.cli.main import main; sys.exit(main(['play', 'bag']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "cosmos-ros play: the package tyro is not installed. Install it: pip install tyro.\n"


def test_a_closed_pipe_is_no_error() -> None:
    process = subprocess.Popen(
        [*COMMAND, "embodiments", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_early_signal_ends_without_a_traceback(number: int) -> None:
    """It comes while the verb is being imported, whose callbacks would swallow an exception."""
    command = [sys.executable, "-X", "importtime", *COMMAND[1:], "evaluate", "bag", "--out", "out"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    printed = ""
    while "tyro.conf" not in printed:
        printed += process.stderr.readline()
        assert process.poll() is None, printed
    process.send_signal(number)
    printed += process.stderr.read()
    assert process.wait(30) == 128 + number
    assert "Traceback" not in printed
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_whose_exception_python_dropped_comes_again(number: int) -> None:
    code = "import os, sys, time\nfrom cosmos_ros.cli._signals import Ended, as_interrupts\n"
    code += f"class Dropping:\n    def __del__(self): os.kill(os.getpid(), {number:d})\n"
    code += "try:\n    with as_interrupts():\n        Dropping()\n        time.sleep(60)\n"
    code += "except Ended as end: sys.exit(100 + end.number)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (100 + number, "")
