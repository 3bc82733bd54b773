"""NVIDIA Cosmos3-Nano in this process, through diffusers."""
