//go:build !linux

package main

import "syscall"

func tiedToThisThread() *syscall.SysProcAttr { return nil }
