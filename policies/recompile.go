package policies

import (
	"context"
	"fmt"
)

// Compile makes a revision of the bundle without attacking it, playing its scenarios or
// putting it in force. It is for looking at a bundle, and for deciding again as one
// decided that was in force; what answers queries comes from [Engine.Activate].
func (c *Content) Compile(ctx context.Context, config Config) (*Revision, error) {
	revision, err := New(config).build(ctx, c.files)
	if err != nil {
		return nil, fmt.Errorf("compiling policies: %w", err)
	}
	return revision, nil
}
