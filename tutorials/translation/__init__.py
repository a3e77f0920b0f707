"""What the translation tutorials share: the command, the job behind it, words, BLEU, exports."""
