"""Analysis of attention: maps, measures, categories of heads, figures and the atlas."""
