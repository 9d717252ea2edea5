#!/bin/sh
# Runs in a throw-away root: the source package lies in /src, this folder in /recipe, results go to /out.
set -eu
export PATH=/usr/lib/go-1.19/bin:$PATH GOPATH=/go GO111MODULE=off CGO_ENABLED=0 GOCACHE=/gocache
export GOFLAGS="-v -trimpath -buildvcs=false"

# apt checked the hashes against the signed Release; dpkg-source applies Debian's patches.
mkdir -p /go/src/k8s.io
cd /go/src/k8s.io
dpkg-source --no-check -x /src/kubernetes_*.dsc kubernetes
cd kubernetes
# The vendored 1.0.1 reads maps as Go laid them out before 1.18, and crashes kubeadm.
rm -rf vendor/github.com/modern-go/reflect2
cp -a /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/

# kube-apiserver needs one generated file, from every package that asks for it.
GOFLAGS='' go build -o /tmp/openapi-gen ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
packages=$(find -H pkg vendor/k8s.io/* -name '*.go' -not -name '*_test.go' -print0 |
    xargs -0 grep -l '^// +k8s:openapi-gen=' | xargs -n1 dirname | LC_ALL=C sort -u |
    grep -v -e '^vendor/k8s.io/code-generator' -e '^vendor/k8s.io/sample-apiserver' -e '^vendor/k8s.io/kube-openapi' |
    sed 's,^,k8s.io/kubernetes/,' | paste -sd, -)
/tmp/openapi-gen --logtostderr -i "$packages" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r /tmp/violations
# The generator's findings must be the ones upstream knows of.
diff /tmp/violations api/api-rules/violation_exceptions.list

stamp=''
for package in k8s.io/component-base/version k8s.io/kubernetes/vendor/k8s.io/component-base/version; do
    stamp="$stamp -X $package.gitVersion=v1.20.2 -X $package.gitMajor=1 -X $package.gitMinor=20"
    stamp="$stamp -X $package.gitTreeState=clean"
done
mkdir -p cmd/kube
cp /recipe/main.go cmd/kube/
for program in kube kubeadm; do
    go build -tags 'providerless dockerless' -gcflags=all=-l -ldflags "-s -w -buildid= $stamp" \
        -o "/out/$program" "./cmd/$program"
done

musl-gcc -static -Os -s -Wall -o /out/pause /recipe/pause.c
