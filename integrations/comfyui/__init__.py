"""Lumiere in ComfyUI."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
