package localpg

import "syscall"

// dieWithParent asks the kernel to stop PostgreSQL in its orderly way (SIGINT, "fast
// shutdown") when the thread that started it ends, even by SIGKILL.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// kernelWatches is whether dieWithParent does anything here.
const kernelWatches = true
