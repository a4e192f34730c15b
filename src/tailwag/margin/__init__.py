"""Rules of margin as pure functions of dated figures: margin, liquidation, index and mark, funding, insurance, deleveraging."""
