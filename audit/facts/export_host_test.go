package facts

import "context"

// CollectPanicking collects a fact whose collector panics.
func CollectPanicking(ctx context.Context) []Missing {
	c := read("system", func(context.Context, *Host, Target) (System, []Missing) { panic("index out of range") })
	_, lost := c.guarded(ctx, nil, Target{})
	return lost
}
