package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
)

// newSuperviseCommand runs a program that knows nothing of the lifeline (KWOK,
// the operator): it is killed when the driver ends or closes the lifeline.
func newSuperviseCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "supervise PROGRAM [ARGUMENT...]",
		DisableFlagParsing: true,
		SilenceUsage:       true,
		SilenceErrors:      true,
		RunE: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) == 0 {
				return errors.New("supervise: name the program to run")
			}
			// On Linux the kernel ties the program to this very thread.
			runtime.LockOSThread()
			program := exec.Command(arguments[0], arguments[1:]...)
			program.Stdout, program.Stderr = os.Stdout, os.Stderr
			program.SysProcAttr = tiedToThisThread()
			if err := program.Start(); err != nil {
				return fmt.Errorf("supervise: %w", err)
			}
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				_ = program.Process.Kill()
			}()
			signals := make(chan os.Signal, 1)
			signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCONT)
			go func() {
				for received := range signals {
					_ = program.Process.Signal(received)
				}
			}()
			err := program.Wait()
			var ended *exec.ExitError
			if errors.As(err, &ended) {
				os.Exit(max(ended.ExitCode(), 1))
			}
			return err
		},
	}
}
