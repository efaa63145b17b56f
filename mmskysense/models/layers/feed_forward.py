# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The dense feed-forward network of every block."""

from torch import Tensor, nn


class FeedForward(nn.Module):
    """Two linear layers with biases around a GELU.

    Args:
        embed_dims: Width of the input and the output.
        hidden_dims: Width of the hidden layer, four times as wide in
            SkySense V2.
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, hidden_dims)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token on its own.

        Args:
            x: Tokens (..., embed_dims).

        Returns:
            Tokens of the same shape.
        """
        return self.fc2(self.act(self.fc1(x)))
