"""Writes a Cosmos3 checkpoint with the real directory layout, random weights and a few megabytes.

Run as a script: ``python test/world_models/tiny_cosmos3.py DIR``. Needs torch, diffusers and transformers.
Everything but the sizes is as in nvidia/Cosmos3-Nano: the same classes, the same two towers, 64 action channels,
32 domains, the Wan 2.2 VAE's 4 × 16 × 16 compression to 48 channels, Qwen's chat template and special tokens.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]


def tiny_tokenizer():
    """Byte-level BPE without merges: one token a byte, Qwen's special tokens, so any text can be encoded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def tiny_components(seed: int = 0) -> dict:
    """Return the pipeline's parts with random weights, about a million parameters together."""
    import torch
    from diffusers import AutoencoderKLWan, Cosmos3OmniTransformer, UniPCMultistepScheduler

    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    transformer = Cosmos3OmniTransformer(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        rope_scaling={"mrope_section": [4, 2, 2], "rope_type": "default"},
        vocab_size=len(tokenizer),
        action_gen=True,
        action_dim=64,
        sound_gen=True,
        sound_dim=64,
    )
    with torch.no_grad():
        # As initialised, the zero embedding would hide a mix-up of the modalities, and the domains' weights (standard
        # deviation 1) would send every action far out of range.
        transformer.action_modality_embed.normal_(std=0.5)
        transformer.action_proj_in.fc.weight.normal_(std=0.05)
        transformer.action_proj_out.fc.weight.normal_(std=0.05)
    vae = AutoencoderKLWan(
        base_dim=4,
        decoder_base_dim=4,
        z_dim=48,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        scale_factor_temporal=4,
        latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48,
    )
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, use_karras_sigmas=True, flow_shift=1.0
    )
    return {"transformer": transformer, "vae": vae, "scheduler": scheduler, "text_tokenizer": tokenizer}


def write_tiny_checkpoint(folder: Path, seed: int = 0) -> Path:
    """Write the checkpoint to ``folder`` and return it."""
    from diffusers import Cosmos3OmniPipeline

    pipeline = Cosmos3OmniPipeline(**tiny_components(seed), enable_safety_checker=False)
    pipeline.save_pretrained(folder, safe_serialization=True, max_shard_size="1MB")
    return folder


if __name__ == "__main__":
    target = write_tiny_checkpoint(Path(sys.argv[1]))
    files = {str(path.relative_to(target)): path.stat().st_size for path in sorted(target.rglob("*")) if path.is_file()}
    print(json.dumps(files, indent=2))
