package demo

import "embed"

// mapFiles say what the columns of the demo's files mean, like any other mapping.
//
//go:embed maps/*.yaml
var mapFiles embed.FS
