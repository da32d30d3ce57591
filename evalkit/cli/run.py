"""`evalkit run`: benchmarks through an agent, into run folders."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from evalkit.cli._arm_options import (
    ArmNames,
    Counterfactual,
    DirectK,
    DirectSystemPrompt,
    DirectTemperature,
    ForcedAnswers,
    IsolatedLatency,
    RepeatCheck,
    Repeats,
)
from evalkit.cli._data_options import revision_option, task_dir_option, task_setting_option
from evalkit.cli._judge_options import (
    JudgeCacheFile,
    JudgeCalibration,
    JudgeConcurrency,
    JudgeKeyEnv,
    JudgeModel,
    JudgeUrl,
)
from evalkit.cli._place_options import BaselineRun, OutFolder, PlayedBack, RunFolder
from evalkit.records import Prices, Rule

_MODEL, _DATA, _AGENT, _WHERE = "Model", "Data", "Agent", "Run"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run")(run)


def request_of(
    tasks: Annotated[str, typer.Option("--tasks", "-t", help="Task names, separated by commas.")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            rich_help_panel=_MODEL,
            help="Model card, card file, folder of weights, or hub id (owner/name).",
        ),
    ] = "metis-nano",
    engine: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_MODEL, help="transformers, vllm, openai, scripted or replay (default: the card's)."
        ),
    ] = None,
    base_url: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_MODEL, help="OpenAI-compatible server for --engine openai; repeat for replicas."),
    ] = None,
    serve: Annotated[
        bool,
        typer.Option("--serve", rich_help_panel=_MODEL, help="Start a vLLM server for the model, stop it at the end."),
    ] = False,
    ttft: Annotated[
        bool,
        typer.Option("--ttft", rich_help_panel=_MODEL, help="Stream from servers, to time first tokens and decoding."),
    ] = False,
    served_model: Annotated[
        str | None,
        typer.Option(rich_help_panel=_MODEL, help="The server's name for the model (default: its only one)."),
    ] = None,
    api_key_env: Annotated[
        str,
        typer.Option(rich_help_panel=_MODEL, help="Variable with the API key (default: the card's or OPENAI_API_KEY)."),
    ] = "",
    request_timeout: Annotated[
        float, typer.Option(rich_help_panel=_MODEL, min=0.1, help="Seconds per try of a request to a server.")
    ] = 600.0,
    device: Annotated[str, typer.Option(rich_help_panel=_MODEL, help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[
        str | None,
        typer.Option(rich_help_panel=_MODEL, help="auto, float32, bfloat16 or float16 (default: the card's)."),
    ] = None,
    min_pixels: Annotated[
        int | None,
        typer.Option(rich_help_panel=_MODEL, min=1, help="Smallest image area the model is shown."),
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(rich_help_panel=_MODEL, min=1, help="Largest image area the model is shown.")
    ] = None,
    attention: Annotated[
        str | None,
        typer.Option(rich_help_panel=_MODEL, help="sdpa, eager or flash_attention_2, for --engine transformers."),
    ] = None,
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile", rich_help_panel=_MODEL, help="torch.compile, for --engine transformers."
        ),
    ] = None,
    tensor_parallel: Annotated[
        int | None, typer.Option(rich_help_panel=_MODEL, min=1, help="GPUs to split the model over, for --engine vllm.")
    ] = None,
    max_model_len: Annotated[
        int | None, typer.Option(rich_help_panel=_MODEL, min=1, help="Context in tokens, for --engine vllm.")
    ] = None,
    gpu_memory: Annotated[
        float | None,
        typer.Option(rich_help_panel=_MODEL, min=0.01, max=1, help="Share of GPU memory, for --engine vllm."),
    ] = None,
    script: Annotated[
        Path | None, typer.Option(rich_help_panel=_MODEL, help="Script file, for --engine scripted.")
    ] = None,
    replay: PlayedBack = None,
    data: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_DATA,
            help="hub, sample, a folder in the official layout, VLMEvalKit's .tsv, or a hub id (default: the task's).",
        ),
    ] = None,
    revision: Annotated[str | None, revision_option(_DATA)] = None,
    task_dir: Annotated[list[Path] | None, task_dir_option(_DATA)] = None,
    task_option: Annotated[list[str] | None, task_setting_option(_DATA)] = None,
    limit: Annotated[int | None, typer.Option(rich_help_panel=_DATA, min=1, help="Only the first N rows.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(rich_help_panel=_AGENT, help="The model family's way to talk (default: the card's)."),
    ] = None,
    faithful: Annotated[
        bool,
        typer.Option("--faithful", rich_help_panel=_AGENT, help="Follow every quirk of the authors' own evaluation."),
    ] = False,
    quirk: Annotated[
        list[str] | None,
        typer.Option("--quirk", rich_help_panel=_AGENT, metavar="NAME", help="Follow this one of them (repeatable)."),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            rich_help_panel=_AGENT, help="text_search: corpus:DIR, searxng:URL, serper, brave, tavily or recorded:RUN."
        ),
    ] = "",
    image_search: Annotated[
        str, typer.Option(rich_help_panel=_AGENT, help="image_search: cache:FILE, serper or recorded:RUN.")
    ] = "",
    system_prompt: Annotated[
        Path | None,
        typer.Option(rich_help_panel=_AGENT, help="File with a system prompt in place of evalkit's own."),
    ] = None,
    prompt_from_dataset: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_AGENT,
            metavar="COLUMN",
            help="Ask with the text (or messages) in this column of your data; system:COLUMN is the system prompt.",
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(rich_help_panel=_AGENT, min=0, help="0 is greedy (default: the card's).")
    ] = None,
    top_p: Annotated[float | None, typer.Option(rich_help_panel=_AGENT, min=0, max=1)] = None,
    top_k: Annotated[int | None, typer.Option(rich_help_panel=_AGENT, min=1)] = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=_AGENT, help="Sampling seed.")] = None,
    max_turns: Annotated[
        int | None, typer.Option(rich_help_panel=_AGENT, min=1, help="Generations per trajectory.")
    ] = None,
    turn_tokens: Annotated[
        int | None, typer.Option(rich_help_panel=_AGENT, min=1, help="Tokens per generation.")
    ] = None,
    trajectory_tokens: Annotated[
        int | None,
        typer.Option(rich_help_panel=_AGENT, min=1, help="Tokens per trajectory after the prompt."),
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(rich_help_panel=_AGENT, min=0.1, help="Seconds per trajectory.")
    ] = None,
    max_images: Annotated[
        int | None, typer.Option(rich_help_panel=_AGENT, min=1, help="Images per trajectory.")
    ] = None,
    counterfactual: Counterfactual = False,
    arms: ArmNames = None,
    direct_k: DirectK = None,
    direct_temperature: DirectTemperature = None,
    direct_system_prompt: DirectSystemPrompt = None,
    forced_answers: ForcedAnswers = False,
    repeats: Repeats = 1,
    repeat_check: RepeatCheck = 0,
    isolated_latency: IsolatedLatency = 0,
    judge_url: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key_env: JudgeKeyEnv = None,
    judge_concurrency: JudgeConcurrency = None,
    judge_cache: JudgeCacheFile = None,
    judge_calibration: JudgeCalibration = None,
    stop_when_decided: Annotated[
        list[str] | None,
        typer.Option(
            "--stop-when-decided",
            rich_help_panel=_WHERE,
            metavar="RULE",
            help="Random order; stop when this rule of evalkit gate is decided against --baseline (repeatable).",
        ),
    ] = None,
    baseline: BaselineRun = None,
    sandbox: Annotated[
        str, typer.Option(rich_help_panel=_WHERE, help="Where code runs: local, docker:IMAGE or jupyter.")
    ] = "local",
    unsafe_no_isolation: Annotated[
        bool,
        typer.Option(
            "--unsafe-no-isolation",
            rich_help_panel=_WHERE,
            help="Run the model's code even where nothing keeps it in; marks the run.",
        ),
    ] = False,
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency", "-c", rich_help_panel=_WHERE, min=1, help="Trajectories in flight, of each replica."
        ),
    ] = 64,
    replicas: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=_WHERE, min=1, help="Engine, sandbox and agents N times, each on GPUs of its own."
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_WHERE,
            metavar="ADDRESS",
            help="Replicas on this Ray cluster (HOST:PORT or auto), as many as fit without --replicas.",
        ),
    ] = None,
    out: OutFolder = Path("runs"),
    run_dir: RunFolder = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", rich_help_panel=_WHERE, help="Do not resume; a new folder.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_WHERE, metavar="I/N", help="Only every N-th row from the I-th; evalkit merge joins them."
        ),
    ] = None,
    price_in: Annotated[
        float | None, typer.Option(rich_help_panel=_WHERE, min=0, help="Price of a million prompt tokens.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(rich_help_panel=_WHERE, min=0, help="Price of a million generated tokens.")
    ] = None,
    rule: Annotated[
        Rule, typer.Option(rich_help_panel=_WHERE, help="Whose verdicts come first; both are stored.")
    ] = Rule.STRICT,
    allowed_errors: Annotated[
        float,
        typer.Option(rich_help_panel=_WHERE, min=0, max=1, help="Share of error rows above which to exit with 3."),
    ] = 0.01,
    log_to: Annotated[
        list[str] | None,
        typer.Option("--log-to", rich_help_panel=_WHERE, help="Also log to mlflow, wandb or otel (repeatable)."),
    ] = None,
) -> Any:  # a RunRequest, by a name that costs the command line's help nothing
    """Run tasks through an agent and print accuracy, tool rate and latency. Resumes where it stopped."""
    import msgspec

    from evalkit.cli._arms import read_arms
    from evalkit.cli._judge import judge_settings
    from evalkit.cli._request import RunRequest
    from evalkit.cli._tasks import read_options
    from evalkit.errors import EvalkitError
    from evalkit.models import IN_PROCESS, find_card
    from evalkit.prompts import read_columns
    from evalkit.runs.calibrate import read_calibration
    from evalkit.runs.setup import EngineSettings
    from evalkit.runs.shard import read_shard

    def replaced(struct: msgspec.Struct, **values: object) -> msgspec.Struct:
        return msgspec.structs.replace(struct, **{k: v for k, v in values.items() if v is not None})

    if (price_in is None) != (price_out is None):
        raise EvalkitError("--price-in and --price-out go together: the prices of a million tokens")
    if judge_calibration and judge_url is None:
        raise EvalkitError("--judge-calibration goes with --judge-url URL, the judge's server")
    names = [name for name in (part.strip() for part in tasks.split(",")) if name]
    card = find_card(model, engine)
    if serve:
        if engine not in (None, "openai"):
            raise EvalkitError(f"--serve does nothing with --engine {engine}: leave one of them out")
        card = msgspec.structs.replace(find_card(model), engine="openai")
    if card.engine not in IN_PROCESS and not serve and (dtype or min_pixels or max_pixels):
        raise EvalkitError(
            f"--dtype, --min-pixels and --max-pixels do nothing with --engine {card.engine}: "
            "set them where the model runs"
        )
    if card.engine != "vllm" and not serve and (tensor_parallel or max_model_len or gpu_memory):
        raise EvalkitError(
            f"--tensor-parallel, --max-model-len and --gpu-memory do nothing with --engine {card.engine}: "
            "they are for --engine vllm and --serve"
        )
    if card.engine != "transformers" and (attention or compiled):
        raise EvalkitError(f"--attention and --compile do nothing with --engine {card.engine}")
    card = msgspec.structs.replace(
        card,
        transformers=replaced(card.transformers, attention=attention, compiled=compiled),
        protocol=protocol or card.protocol,
        weights=replaced(card.weights, dtype=dtype),
        pixels=replaced(card.pixels, min=min_pixels, max=max_pixels),
        vllm=replaced(card.vllm, tensor_parallel=tensor_parallel, max_model_len=max_model_len, memory_share=gpu_memory),
        sampling=replaced(card.sampling, temperature=temperature, top_p=top_p, top_k=top_k, seed=seed),
        limits=replaced(
            card.limits,
            turns=max_turns,
            turn_tokens=turn_tokens,
            trajectory_tokens=trajectory_tokens,
            seconds=time_limit,
            images=max_images,
        ),
    )
    return RunRequest(
        card=card,
        settings=EngineSettings(
            base_url=",".join(base_url) if base_url else None,
            serve=serve,
            serve_log=run_dir / "server.log" if run_dir else out / f"{card.name.replace('/', '-')}.server.log",
            ttft=ttft,
            served_model=served_model,
            api_key_env=api_key_env,
            timeout_s=request_timeout,
            script=script,
            replay=replay,
            device=device,
            concurrency=concurrency,
        ),
        tasks=tuple(dict.fromkeys(names)),
        data=data,
        revision=revision,
        task_dirs=tuple(task_dir or ()),
        task_options=read_options(task_option),
        limit=limit,
        system_prompt=system_prompt,
        search=search,
        image_search=image_search,
        faithful=faithful,
        quirks=tuple(dict.fromkeys(quirk or ())),
        sandbox=sandbox,
        unsafe_no_isolation=unsafe_no_isolation,
        out=out,
        run_dir=run_dir,
        fresh=fresh,
        allowed_errors=allowed_errors,
        rule=rule,
        prices=None if price_in is None or price_out is None else Prices(prompt=price_in, completion=price_out),
        arms=read_arms(
            names=arms,
            counterfactual=counterfactual,
            repeats=repeats,
            direct_k=direct_k,
            direct_temperature=direct_temperature,
            forced_answers=forced_answers,
            again=repeat_check,
            isolated=isolated_latency,
        ),
        direct_system_prompt=direct_system_prompt,
        prompts=read_columns(prompt_from_dataset or ()),
        stop_when=tuple(dict.fromkeys(stop_when_decided or ())),
        baseline=baseline,
        judge=judge_settings(judge_url, judge_model, judge_key_env, judge_concurrency, judge_cache, beside=out),
        calibration=read_calibration(judge_calibration) if judge_calibration else None,
        log_to=tuple(dict.fromkeys(log_to or ())),
        replicas=replicas,
        ray=ray,
        shard=read_shard(shard) if shard is not None else None,
    )


@wraps(request_of)
def run(**options: Any) -> None:
    """See `request_of`, whose parameters are the command's options."""
    from evalkit.cli._session import run_session

    if code := run_session(request_of(**options)):
        raise typer.Exit(int(code))
