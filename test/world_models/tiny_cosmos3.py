"""Writes a Cosmos3 checkpoint with the real directory layout, random weights and a few megabytes.

Run as a script: ``python test/world_models/tiny_cosmos3.py DIR``. Needs torch, diffusers and transformers.
Everything but the sizes is as in nvidia/Cosmos3-Nano: the same classes, the same two towers, 64 action channels,
32 domains, the Wan 2.2 VAE's 4 × 16 × 16 compression to 48 channels, Qwen's chat template and special tokens.

With plain random weights no chunk would be near a rotation, and the decoder rightly refuses those. So the action path
is wired on top of the random weights: whatever the sampler, denoising ends at "no motion" plus a little that depends
on picture, caption and noise.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# First columns of the pose blocks, by domain id.
POSE_COLUMNS = {1: (0,), 2: (0,), 6: (0,), 7: (0,), 8: (0,), 12: (0, 10), 13: (0,), 15: (0, 9, 19), 20: (0,)}
ACTION, HIDDEN = 64, 128
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
        hidden_size=HIDDEN,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        rope_scaling={"mrope_section": [4, 2, 2], "rope_type": "default"},
        vocab_size=len(tokenizer),
        action_gen=True,
        action_dim=ACTION,
        sound_gen=True,
        sound_dim=64,
    )
    wire_actions(transformer)
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


def wire_actions(transformer) -> None:
    """Make the action velocity ``(x - still) / sigma`` plus what the layers add, so that x ends at ``still``.

    Hidden channels 0 to 63 hold ``x - still``. The others hold plus or minus ``carrier * sigma``, out of the timestep's
    embedding, so that the last normalisation divides by sigma.
    """
    import torch

    carrier, knee, feature = 20.0, 200.0, 24
    frequency = 10000.0 ** (-feature / 128)
    with torch.no_grad():
        embedder = transformer.time_embedder
        for parameter in embedder.parameters():
            parameter.zero_()
        embedder.linear_1.weight[0, 128 + feature] = knee / frequency  # sin(f sigma) / f is sigma; SiLU is linear there
        embedder.linear_2.weight[ACTION:, 0] = carrier / knee * (1 - 2 * torch.randint(0, 2, (HIDDEN - ACTION,)))
        still = torch.zeros(32, HIDDEN)
        for domain, starts in POSE_COLUMNS.items():
            for start in starts:
                still[domain, [start + 3, start + 7]] = 1.0  # the diagonal of no rotation, normalised or not
        into, out = torch.zeros(ACTION, HIDDEN), torch.zeros(HIDDEN, ACTION)
        into[:, :ACTION] = torch.eye(ACTION)
        out[:ACTION] = torch.eye(ACTION) * carrier / 2**0.5
        transformer.action_proj_in.fc.weight.copy_(into.flatten().expand(32, -1))
        transformer.action_proj_in.bias.weight.copy_(-still)
        transformer.action_proj_out.fc.weight.copy_(out.flatten().expand(32, -1))
        transformer.action_proj_out.bias.weight.zero_()
        transformer.action_modality_embed[ACTION:] = 0.5 * torch.randn(HIDDEN - ACTION)
        transformer.proj_out.weight.mul_(5.0)  # frames that visibly depend on what went in
        for layer in transformer.layers:
            layer.self_attn.to_add_out.weight[:ACTION] *= 0.05
            layer.mlp_moe_gen.down_proj.weight[:ACTION] *= 0.05


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
