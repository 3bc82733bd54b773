"""The state machine around the guard: arming, e-stop, liveness, clock jumps, other publishers."""
