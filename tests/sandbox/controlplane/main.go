// One binary that is etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler or kubectl, chosen by its first argument (or by the name it is
// called by). One component per process: the Kubernetes commands share global
// signal handlers, feature gates and metrics registries, and a second one in
// the same process panics.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

var components = map[string]func() *cobra.Command{
	"etcd":                    newEtcdCommand,
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": manager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
	"supervise":               newSuperviseCommand,
}

func main() {
	newCommand, known := components[filepath.Base(os.Args[0])]
	if !known {
		if len(os.Args) > 1 {
			newCommand, known = components[os.Args[1]]
		}
		if !known {
			fmt.Fprintln(os.Stderr, "usage: controlplane etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubectl|supervise [flags]")
			os.Exit(2)
		}
		os.Args = os.Args[1:]
	}
	if os.Args[0] != "supervise" {
		endWithParent()
	}
	os.Exit(cli.Run(newCommand()))
}
