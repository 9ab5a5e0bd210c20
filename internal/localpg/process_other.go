//go:build unix && !linux

package localpg

import "syscall"

// dieWithParent does nothing: there is no such request outside Linux, and the watchdog
// does it instead.
func dieWithParent(*syscall.SysProcAttr) {}

// kernelWatches is whether dieWithParent does anything here.
const kernelWatches = false
