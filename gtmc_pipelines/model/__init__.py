"""Words of the trade: the types every other room speaks. This room imports nothing of ours."""
