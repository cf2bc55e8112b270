"""How any module is fitted: texts as ids, batches, objective, and the weights of the lowest dev loss."""
