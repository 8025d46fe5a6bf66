"""Our Adam goes where torch's goes, and asks for no compiler."""

import subprocess
import sys

import pytest

pytest.importorskip("stable_baselines3", reason="training needs the [train] extra")

import torch

from evenkeel.research.adam import Adam


def network():
    """The same small network every time."""
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))


def walked(net, optimiser, steps, seed=4):
    """Weights after some steps on random data."""
    chance = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimiser.zero_grad()
        ((net(torch.randn(16, 5, generator=chance)) - 1.0) ** 2).mean().backward()
        optimiser.step()
    return torch.cat([one.detach().reshape(-1) for one in net.parameters()])


def test_it_goes_where_torch_goes():
    ours, theirs = network(), network()

    found = walked(ours, Adam(ours.parameters(), 1e-2, eps=1e-5), 50)

    wanted = walked(theirs, torch.optim.Adam(theirs.parameters(), 1e-2, eps=1e-5), 50)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_what_is_saved_goes_on_to_the_same_bits():
    whole, half, rest = network(), network(), network()
    first, second = Adam(half.parameters(), 1e-2), Adam(rest.parameters(), 1e-2)
    walked(half, first, 5)
    rest.load_state_dict(half.state_dict())
    second.load_state_dict(first.state_dict())
    straight = Adam(whole.parameters(), 1e-2)
    walked(whole, straight, 5)

    assert torch.equal(walked(rest, second, 5, seed=6), walked(whole, straight, 5, seed=6))


def test_a_loss_that_misses_a_parameter_is_said():
    net = network()
    optimiser = Adam(net.parameters(), 1e-2)
    net[0](torch.ones(1, 5)).sum().backward()

    with pytest.raises(RuntimeError, match="no gradient"):
        optimiser.step()


def test_no_compiler_is_imported():
    code = (
        "import sys, torch; from evenkeel.research.adam import Adam; net = torch.nn.Linear(2, 1); "
        "it = Adam(net.parameters(), 0.1); it.zero_grad(); net(torch.ones(1, 2)).sum().backward(); it.step(); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
