"""From a champion to its successor: train on new rows too, compare, switch the link that serves or keep it."""
