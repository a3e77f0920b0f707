"""Sentiment: what a review thinks, how sure the network is, and the words that decided."""
