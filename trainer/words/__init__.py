"""Words: what jieba finds in a text, and vectors of them learnt from texts without labels."""
