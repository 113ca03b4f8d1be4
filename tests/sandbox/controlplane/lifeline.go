package main

import (
	"io"
	"os"
)

// lifelineVariable is set by the sandbox's driver for each process it starts.
const lifelineVariable = "FIRSTAID_SANDBOX_LIFELINE"

// endWithParent ends this process when its standard input closes. The driver
// holds the other end of that pipe, so it closes however the driver ends, by
// SIGKILL too: no control plane is ever left behind. (The kernel's "parent died"
// signal would not do: it is tied to the parent's thread, and a test's thread
// ends long before the test run does.) kubectl, which people run, has no lifeline.
func endWithParent() {
	if os.Getenv(lifelineVariable) == "" {
		return
	}
	lifeline := os.NewFile(os.Stdin.Fd(), "lifeline")
	go func() {
		_, _ = io.Copy(io.Discard, lifeline)
		os.Exit(0)
	}()
}
