package localpg

import (
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// watchdogScript waits until the pipe on its standard input ends, which it does when the
// process at the other end is gone, killed or not. Then it stops the server, if it is
// still the one, and removes its directory, if it was a temporary one.
const watchdogScript = `
trap '' INT TERM HUP
read -r word
[ "$word" = dismissed ] && exit 0
pid=$1 data=$2 remove=$3
if [ "$(head -n 1 "$data/postmaster.pid" 2>/dev/null)" = "$pid" ]; then
	kill -INT "$pid" 2>/dev/null
	n=0
	while [ -e "$data/postmaster.pid" ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
	[ -e "$data/postmaster.pid" ] && kill -QUIT "$pid" 2>/dev/null && sleep 1
fi
[ -n "$remove" ] && rm -rf -- "$remove"
exit 0
`

// watchdog is a shell that outlives us to clear up. It does what the kernel cannot:
// remove a temporary directory, and stop a server where there is no parent death signal.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

func startWatchdog(pid int, data, remove string) (*watchdog, error) {
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "mahrem-watchdog", strconv.Itoa(pid), data, remove)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", environment(), &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting watchdog: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting watchdog: %w", err)
	}
	return &watchdog{cmd: cmd, pipe: pipe}, nil
}

// dismiss ends the watchdog: there is nothing left to clear up.
func (w *watchdog) dismiss() error {
	_, _ = io.WriteString(w.pipe, "dismissed\n")
	_ = w.pipe.Close()
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("dismissing watchdog: %w", err)
	}
	return nil
}
