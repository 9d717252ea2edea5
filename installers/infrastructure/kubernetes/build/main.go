// Package main is Kubernetes as one program: its name decides which part runs.
package main

import (
	goflag "flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	_ "k8s.io/client-go/plugin/pkg/client/auth"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/klog/v2"
	kubectl "k8s.io/kubectl/pkg/cmd"

	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// dashes lets flags be written with underscores, as upstream's own main packages do.
func dashes() {
	pflag.CommandLine.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
}

// logFlags leaves klog's flags only in Go's process-wide set, which also holds those of the other programs.
func logFlags() {
	goflag.CommandLine = goflag.NewFlagSet(os.Args[0], goflag.ExitOnError)
	klog.InitFlags(goflag.CommandLine)
	pflag.CommandLine.AddGoFlagSet(goflag.CommandLine)
}

// ownCluster lets root's kubectl on the node reach the node's own cluster when nothing else is configured.
func ownCluster() {
	const admin = "/etc/kubernetes/admin.conf"
	home, _ := os.UserHomeDir()
	if _, err := os.Stat(filepath.Join(home, ".kube", "config")); err == nil || os.Getenv("KUBECONFIG") != "" {
		return
	}
	if file, err := os.Open(admin); err == nil {
		file.Close()
		os.Setenv("KUBECONFIG", admin)
	}
}

var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler": func() *cobra.Command {
		dashes()
		return scheduler.NewSchedulerCommand()
	},
	"kube-proxy": func() *cobra.Command {
		dashes()
		logFlags()
		return proxy.NewProxyCommand()
	},
	"kubelet": kubelet.NewKubeletCommand,
	"kubectl": func() *cobra.Command {
		ownCluster()
		dashes()
		logFlags()
		return kubectl.NewDefaultKubectlCommand()
	},
}

func main() {
	rand.Seed(time.Now().UnixNano())
	program := programs[filepath.Base(os.Args[0])]
	if program == nil && len(os.Args) > 1 { // kube kubelet --help
		os.Args = os.Args[1:]
		program = programs[filepath.Base(os.Args[0])]
	}
	if program == nil {
		fmt.Fprintln(os.Stderr, "usage: kube-apiserver | kube-controller-manager | kube-scheduler | kube-proxy | kubelet | kubectl")
		os.Exit(2)
	}
	command := program()
	logs.InitLogs()
	err := command.Execute()
	logs.FlushLogs()
	if err != nil {
		os.Exit(1)
	}
}
