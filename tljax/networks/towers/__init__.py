"""The towers for texts of CLIP, SigLIP and TIPSv2: `text` computes, `names` is the table of their tensors.

Tokens go in, one vector for each text comes out, in the space that the tower for pictures shares. The tower for
pictures is a ViT (`vision_transformer.py`). Nothing here may know of files or tokenizers.
"""
