"""Tiny random vision-language models of several families, in memory; no processor."""

from __future__ import annotations

from typing import Any

IMAGE, START, END = 90, 91, 92
"""Tokens around and in place of images."""
VOCABULARY = 100
_TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 256,
    "initializer_range": 0.3, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip
_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]}
_PATCHES = {"depth": 2, "hidden_size": 32, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2,
            "temporal_patch_size": 2, "intermediate_size": 64, "initializer_range": 0.1}  # fmt: skip
_TOKENS = {"image_token_id": IMAGE, "video_token_id": 93, "vision_start_token_id": START, "vision_end_token_id": END}


def tiny(family: str) -> Any:
    """A model of the family, with the same weights each time.

    Args:
        family: "qwen3_vl", "qwen2_5_vl", "qwen2_vl", "llava", "gemma3" or "internvl".
    """
    import torch
    import transformers

    torch.manual_seed(0)
    plain = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
             "image_size": 8, "patch_size": 4}  # fmt: skip
    if family == "qwen3_vl":
        config = transformers.Qwen3VLConfig(
            text_config={**_TEXT, "rope_parameters": {**_ROPE, "mrope_interleaved": True}},
            vision_config={**_PATCHES, "out_hidden_size": 32, "num_position_embeddings": 16,
                           "deepstack_visual_indexes": [0]},
            **_TOKENS,
        )  # fmt: skip
        return transformers.Qwen3VLForConditionalGeneration(config)
    if family == "qwen2_5_vl":
        vision = {**_PATCHES, "out_hidden_size": 32, "window_size": 16, "fullatt_block_indexes": [1]}
        config = transformers.Qwen2_5_VLConfig(
            text_config={**_TEXT, "rope_parameters": _ROPE}, vision_config=vision, **_TOKENS
        )
        return transformers.Qwen2_5_VLForConditionalGeneration(config)
    if family == "qwen2_vl":
        vision = {**_PATCHES, "embed_dim": 32, "mlp_ratio": 2}
        config = transformers.Qwen2VLConfig(
            text_config={**_TEXT, "rope_parameters": _ROPE}, vision_config=vision, **_TOKENS
        )
        return transformers.Qwen2VLForConditionalGeneration(config)
    if family == "llava":
        config = transformers.LlavaConfig(
            text_config={**_TEXT, "model_type": "llama"},
            vision_config={**plain, "model_type": "clip_vision_model", "projection_dim": 32},
            image_token_id=IMAGE, image_seq_length=4, vision_feature_layer=-1,
        )  # fmt: skip
        return transformers.LlavaForConditionalGeneration(config)
    if family == "gemma3":
        config = transformers.Gemma3Config(
            text_config={**_TEXT, "sliding_window": 64}, vision_config={**plain, "model_type": "siglip_vision_model"},
            image_token_id=IMAGE, mm_tokens_per_image=4, boi_token_index=START, eoi_token_index=END,
        )  # fmt: skip
        return transformers.Gemma3ForConditionalGeneration(config)
    assert family == "internvl"
    config = transformers.InternVLConfig(
        text_config={**_TEXT, "model_type": "qwen2"},
        vision_config={**plain, "image_size": [16, 16], "patch_size": [4, 4]},
        image_token_id=IMAGE, image_seq_length=4, downsample_ratio=0.5,
    )  # fmt: skip
    return transformers.InternVLForConditionalGeneration(config)


def picture(family: str, seed: int) -> tuple[dict[str, Any], int]:
    """Media inputs of one image, and how many tokens it takes."""
    import torch

    noise = torch.Generator().manual_seed(seed)
    if family.startswith("qwen"):
        rows, columns = 4, 4 + 2 * (seed % 2)
        pixels = torch.randn(rows * columns, 3 * 2 * 4 * 4, generator=noise)
        return {"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, rows, columns]])}, rows * columns // 4
    side = 16 if family == "internvl" else 8
    return {"pixel_values": torch.randn(1, 3, side, side, generator=noise)}, 4
