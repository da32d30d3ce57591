"""A Qwen3-VL of 0.4 M random weights in a folder, with a tokenizer of its own: one token a character."""

import json
import string
from collections.abc import Mapping
from pathlib import Path

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|image_pad|>", "<|video_pad|>"]  # fmt: skip
END = "<|im_end|>"
PLAIN = ["<tool_call>", "</tool_call>"]
TEMPLATE = (
    "{% if tools %}<|im_start|>tools{% for tool in tools %} {{ tool.function.name }}{% endfor %}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MAX_POSITIONS = 256
IMAGES = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "size": {"shortest_edge": 32 * 32, "longest_edge": 96 * 96},
    "patch_size": 16, "merge_size": 2, "temporal_patch_size": 2, "resample": 3,
    "do_convert_rgb": True, "do_resize": True, "do_rescale": True, "do_normalize": True,
    "rescale_factor": 1 / 255, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
}  # fmt: skip


def tiny_tokenizer():
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = [*string.ascii_letters, *string.digits, *string.punctuation, " ", "\n"]
    core = Tokenizer(models.WordLevel({c: i for i, c in enumerate(characters)}, unk_token="?"))
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    core.add_tokens([AddedToken(token, special=False, normalized=False) for token in PLAIN])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def build(folder: Path, max_positions: int = MAX_POSITIONS, likely: Mapping[str, float] | None = None) -> Path:
    """Write the model to a folder. Its generation config asks for sampling that no engine may follow.

    Args:
        folder: where to.
        max_positions: tokens of the longest conversation.
        likely: tokens that greedy texts come to more often, by factor; with END they end, and without it never do.
    """
    import torch
    import transformers

    tokenizer = tiny_tokenizer()
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    hidden = 64
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 4, 4], "mrope_interleaved": True}
    config = transformers.Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": hidden, "intermediate_size": 3 * hidden,
            "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
            "max_position_embeddings": max_positions, "tie_word_embeddings": False, "initializer_range": 0.3,
            "bos_token_id": None, "eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"],
            "rope_parameters": rope,
        },
        vision_config={
            "depth": 2, "hidden_size": hidden, "intermediate_size": 2 * hidden, "num_heads": 2, "patch_size": 16,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": hidden,
            "num_position_embeddings": 36, "deepstack_visual_indexes": [0], "initializer_range": 0.1,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.Qwen3VLForConditionalGeneration(config)
    with torch.no_grad():
        # Logits of 0 are never the largest of a hundred: greedy texts have a letter a token and no end.
        for token, factor in (likely or {}).items():
            model.lm_head.weight[tokenizer.convert_tokens_to_ids(token)] *= factor
        never = [token for token in SPECIAL + PLAIN if token not in (likely or {})]
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(never)] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor = {
        "processor_class": "Qwen3VLProcessor",
        "image_processor": IMAGES,
        "video_processor": {**IMAGES, "video_processor_type": "Qwen3VLVideoProcessor"},
    }
    del processor["video_processor"]["image_processor_type"]
    (folder / "processor_config.json").write_text(json.dumps(processor))
    defaults = {"eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"], "do_sample": True,
                "temperature": 5.0, "top_p": 0.2, "repetition_penalty": 50.0}  # fmt: skip
    (folder / "generation_config.json").write_text(json.dumps(defaults))
    return folder
