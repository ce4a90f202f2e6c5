# %% [markdown]
# # AugMax, and nets with DuBIN
#
# **What you will have at the end:** pictures of the worst mixtures that AugMax finds; a net of your
# own with its batch norms converted, trained with AugMax; a ResNet with dual batch and instance
# norm (DuBIN); and accuracies under corruptions and under attacks beside those of a plain net.
#
# On digits with a LeNet. For CIFAR-10: `datasets.load("cifar10")`,
# `nets.resnet_18(norm="dubin")` or `nets.wrn_40_2(norm="dubin")`, ten steps of the attack, and
# `methods.plan_optimizer("augmax_cifar", ...)`, the paper's 200 epochs.
# %%
# %matplotlib inline
import collections

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from tfrobust import attacks, datasets, evaluation, layers, losses, methods, nets, reports
from tfrobust.attacks.augmax_attack import mix

keras.utils.set_random_seed(0)
# %% tags=["settings"]
epochs = 12  # quick: 10
augmax_epochs = 6  # quick: 2
steps = 3  # quick: 2
attack_steps = 10  # quick: 2
corruptions = "test"  # quick: ["fog"]
images_used = {"train": 1600, "test": 300}  # quick: {"test": 60}

data = datasets.load("digits", batch_size=64, images=images_used)
# %% [markdown]
# ## A plain net
#
# It stands for your own net: any functional or Sequential model with batch norm.
# %%
net = nets.lenet(data.image_shape, data.classes, norm="bn")
plain = methods.Baseline(net)
schedule = keras.optimizers.schedules.CosineDecay(0.05, epochs * len(data.train))
plain.compile(keras.optimizers.SGD(schedule, momentum=0.9), metrics=["accuracy"])
history = plain.fit(data.train, validation_data=data.validation, epochs=epochs, verbose=0)
print(f"validation accuracy: {100 * history.history['val_accuracy'][-1]:.2f}%")
# %% [markdown]
# ## The worst mixture
#
# AugMix mixes three chains with weights $w$, and the result with the image by a weight $m$, both
# drawn at random. AugMax raises the net's loss by a few steps along the sign of its gradient, with
# respect to $m$ and $w$; the chains stay fixed.
#
# $$x^* = (1 - m)\, x + m \sum_i w_i\, \mathrm{chain}_i(x)$$
# %%
images, labels = (part[:6] for part in next(iter(data.validation)))
attack = attacks.AugMaxAttack(steps=steps, stop=None)
chains = attack.augmix.chains(images, attack.augmix.draw(images))
blend, scores = attack.start(len(images), tf.constant([0, 1]))
random_mix = mix(images, chains, blend, tf.nn.softmax(scores))
blend, scores = attack.ascend(net, images, chains, labels, blend, scores)
worst_mix = mix(images, chains, blend, tf.nn.softmax(scores))
reports.augmentation_grid(
    tf.stack([images, *tf.unstack(chains, axis=1), random_mix, worst_mix], axis=1),
    ["clean", "chain 1", "chain 2", "chain 3", "random mix", "worst mix"],
    title=f"AugMix's chains, mixed at random and by {steps} steps of AugMax",
)
# %% [markdown]
# The loss of the same mixtures, image by image. The ascent starts from the random mixture and
# raises its loss, but not always above that of the clean image. A missing point means that the loss
# is zero.
# %%
figure, axes = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
shown = {"clean": images, "random mix": random_mix, "worst mix": worst_mix}
for (name, batch), style in zip(shown.items(), ("ko", "bs", "r^")):
    axes.plot(
        range(1, 7), losses.cross_entropy(labels, net(batch)), style, label=name, fillstyle="none"
    )
axes.set(xlabel="Image (row of the figure above)", ylabel="Cross-entropy (nats)", yscale="log")
axes.set_title("What mixing does to the loss of the plain net")
axes.legend()
plt.close(figure)
figure
# %% [markdown]
# ## Dual norms for an existing net
#
# The worst-case images have different statistics from clean ones. Dual batch norm keeps two sets:
# `route` selects one, and inference uses the clean one. Directly after the conversion the outputs
# are unchanged.
# %%
dual = nets.convert_norms(net, "dubn")
print(
    dict(
        collections.Counter(
            type(layer).__name__ for layer in dual.layers if "Norm" in type(layer).__name__
        )
    )
)
with layers.route("auxiliary"):
    print("largest difference:", float(tf.reduce_max(tf.abs(dual(images) - net(images)))))
# %% [markdown]
# DuBIN also gives half of the channels an instance norm. `norm="dubin"` places it as the paper
# does: at the first norm of each block in all stages but the last.
# %%
dubin_net = nets.resnet_20(data.image_shape, data.classes, norm="dubin")
kinds = collections.Counter(type(layer).__name__ for layer in dubin_net.layers)
print({name: kinds[name] for name in ("DuBIN", "DualBatchNormalization", "BatchNormalization")})
print(f"{dubin_net.count_params():,} weights; {nets.resnet_20().count_params():,} with batch norm")
# %% [markdown]
# ## Training with AugMax
#
# Each step makes an AugMix view and searches for a worst-case mixture of each image. Clean images
# and views take one route, the worst-case images the other. The converted net continues from its
# weights; the net with DuBIN, also a LeNet, is trained from scratch.
# %%
models = {
    "plain": plain,
    "AugMax, converted": methods.AugMax(dual, attack=attacks.AugMaxAttack(steps=steps)),
    "AugMax, DuBIN": methods.AugMax(
        nets.lenet(data.image_shape, data.classes, norm="dubin"),
        attack=attacks.AugMaxAttack(steps=steps),
    ),
}
for name, model in list(models.items())[1:]:
    schedule = keras.optimizers.schedules.CosineDecay(0.05, augmax_epochs * len(data.train))
    model.compile(keras.optimizers.SGD(schedule, momentum=0.9), metrics=["accuracy"])
    history = model.fit(
        data.train, validation_data=data.validation, epochs=augmax_epochs, verbose=0
    )
    print(f"{name}: {100 * history.history['val_accuracy'][-1]:.2f}% of clean validation images")
# %% [markdown]
# ## Corruptions and attacks
#
# The corruptions at severity 3; FGSM and PGD within 4/255 of each value; and the worst of ten small
# rotations and shifts. Accuracy under an attack is an upper bound: a stronger attack may lower it.
#
# In this run both nets trained with AugMax withstand the attacks better than the plain one. The
# converted net loses three points on clean images, and is better than the plain one under weather
# alone; the net with DuBIN is better under most. One run cannot tell whether that is due to its
# norms or to training from scratch.
# %%
conditions = [
    *evaluation.corrupted(corruptions, severities=[3]),
    *evaluation.attacked(
        {
            "FGSM": attacks.FGSM(4 / 255),
            "PGD": attacks.PGD(4 / 255, step_size=1 / 255, steps=attack_steps),
            "spatial": attacks.Spatial(),
        }
    ),
]
rows = []
for name, model in models.items():
    rows += evaluation.benchmark(model, data, conditions, model_name=name, verbose=False)
print(reports.attacks_table(rows).to_text())
# %%
print(reports.corruptions_table(rows).to_text())
# %%
pgd = attacks.PGD(4 / 255, step_size=1 / 255, steps=attack_steps)
attacked = pgd.perturb(net, images, labels)
pictures = [images, attacked, 0.5 + 10 * (attacked - images)]
reports.augmentation_grid(
    np.stack(pictures, axis=1), ["clean", "PGD", "10 × change"], title="PGD against the plain net"
)
