"""Questions turned round: the exact preimage of a result, and a worked solution that leads back to it."""
