"""The main job: a recurrent language model, trained on a text.

`python -m rnn_jax train` is this package. Its parts, from the text to the report:

========================= ========================================================
`config`                  every setting, in one frozen value
`text` `vocabulary`       a file -> tokens -> ids
`tokens`                  the same of a text that may be larger than memory
`corpus`                  the training part, its streams, and the validation part
`baselines`               what counting alone achieves
`cells` `model`           the network, its loss
`vectors`                 what its embedding begins with, from a file
`optimizer` `learner`     how it learns
`train` `display`         the loop, and what one sees of it
`run` `files`             the folder of a run
`checkpoints`             what survives a crash
`evaluate` `generate`     what the model is good for
`embed`                   what it makes of each token, layer by layer
`neural_cache`            a memory of its last states beside it
`comparison`              the network beside counting, and both together
`report` `plots`          what is left at the end
`spectrum`                what gradients do in the model
`commands`                one function each: train, sample, evaluate, embed, spectrum
========================= ========================================================

Nothing is imported here, so that the command line can say `--help` at once.
"""
