package ledger

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// writerEnv makes the test binary a process that writes until it is killed.
const writerEnv = "MAHREM_TEST_LEDGER_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

// writeUntilKilled prints the sequence of each record that was confirmed.
func writeUntilKilled(path string) {
	l, err := Open(path, testConfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for n := range 8 {
		go func() {
			for {
				r, err := l.Append(context.Background(), sample(n))
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(r.Sequence)
			}
		}()
	}
	select {}
}

// TestKilledWriters: whatever was confirmed stands, whenever the writers are killed.
func TestKilledWriters(t *testing.T) {
	t.Parallel()
	rounds := 40
	if testing.Short() {
		rounds = 6
	}
	path := create(t)
	var confirmed []uint64
	for round := range rounds {
		var mu sync.Mutex
		begun := make(chan struct{})
		begin := sync.OnceFunc(func() { close(begun) })
		var reading sync.WaitGroup
		var processes []*exec.Cmd
		for range 2 {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), writerEnv+"="+path)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			processes = append(processes, cmd)
			reading.Go(func() {
				defer begin()
				for lines := bufio.NewScanner(out); lines.Scan(); {
					if sequence, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
						mu.Lock()
						confirmed = append(confirmed, sequence)
						mu.Unlock()
						begin()
					}
				}
			})
		}
		if round%3 > 0 { // otherwise they may be killed before they have begun
			<-begun
		}
		time.Sleep(time.Duration(5+rand.IntN(60)) * time.Millisecond)
		for _, cmd := range processes {
			_ = cmd.Process.Kill()
		}
		reading.Wait()
		for _, cmd := range processes {
			_ = cmd.Wait()
		}
	}
	if len(confirmed) == 0 {
		t.Error("nothing was ever confirmed")
	}
	l := open(t, path)
	records := all(t, l)
	seen := map[uint64]bool{}
	for _, sequence := range confirmed {
		if seen[sequence] || sequence > uint64(len(records)) {
			t.Fatalf("record %d was confirmed twice, or is gone: the ledger has %d", sequence, len(records))
		}
		seen[sequence] = true
	}
	add(t, l, sample(1))
	t.Logf("%d confirmed, %d on disk", len(confirmed), len(records))
}
