"""
A torch training loop
=====================

A small network on the handwritten digits. The resource is epochs, and training goes on from rung to
rung: with ``stateful=True`` the objective gets back what it returned on the rung before, and
``resource`` is the new total.
"""

import sys

from scipy.stats import loguniform, randint
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skhalving import hyperband

try:
    import torch
except ImportError:
    print("torch is not installed; this example needs it")
    sys.exit()

torch.set_num_threads(1)  # so small a network loses more time on several than it wins

X, y = load_digits(return_X_y=True)
split = train_test_split(X / 16, y, random_state=0, stratify=y)
X_train, X_test = (torch.tensor(part, dtype=torch.float32) for part in split[:2])
y_train, y_test = (torch.tensor(part) for part in split[2:])


def build(width, lr):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
    )
    return net, torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9), 0


def objective(configuration, resource, state):
    net, optimizer, done = build(**configuration) if state is None else state
    for epoch in range(done, resource):
        order = torch.randperm(len(X_train), generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(X_train[rows]), y_train[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        accuracy = (net(X_test).argmax(1) == y_test).float().mean().item()
    return accuracy, (net, optimizer, resource)


result = hyperband(
    objective,
    {"width": randint(8, 128), "lr": loguniform(1e-4, 1)},
    max_resources=27,
    maximize=True,
    stateful=True,
    random_state=0,
)
print(result)
