# shellcheck shell=bash
# Real Debian packages, signed repositories and alternate roots for tests and examples. Sourced by bash scripts that run
# as root on Debian 12 with apt, apt-utils, dpkg-dev and gnupg. Everything is made below one directory, and repo_end
# removes all of it; nothing outside is touched.
#
#   repo_begin DIR                 starts below DIR (made if missing, must be readable by everybody so that apt's own
#                                  account reads the repositories). Makes a throw-away signing key; its public half is
#                                  $REPO_KEY (DIR/keys/repo.gpg), for signed-by=.
#   repo_key NAME                  another throw-away key: DIR/keys/NAME.gpg; use it with repo_publish --key NAME.
#   repo_deb REPO NAME VERSION [ITEM...]
#                                  builds NAME_VERSION_ARCH.deb into REPO/pool. An ITEM is a line of the control file
#                                  ("Depends: libvlc5 (>= 1)", "Architecture: all", "Section: net"), a maintainer
#                                  script ("@postinst=shell commands") or a file ("@file=/usr/share/x=content").
#                                  Every package holds /usr/share/doc/NAME/version with its version.
#                                  Prints nothing; the file's path is $REPO_DEB.
#   repo_publish REPO [--suite S] [--component C] [--key NAME] [--label L] [--unsigned]
#                                  indexes REPO/pool and signs (InRelease and Release.gpg). Again after every repo_deb.
#                                  The line for it is: deb [signed-by=$REPO_KEY] file:REPO S C   (stable main)
#   repo_source_line REPO          prints that line.
#   repo_root ROOT                 an alternate root with an empty dpkg database in which maintainer scripts run: a
#                                  shell and a few tools with the libraries that they need, copied from this machine.
#   repo_root_install ROOT DEB...  installs packages with dpkg itself, to prepare a root.
#   repo_root_version ROOT NAME    prints the version installed in ROOT; fails when NAME is not installed there.
#   repo_sample DIR                the sample: repositories DIR/internal (self-service) and DIR/vendor, see below.
#   repo_end                       stops the key agents and removes what repo_begin made. Put it into an EXIT trap.
#
# The sample, published by repo_sample ("later" ones are added to the pool by repo_sample_update):
#   internal  vlc 3.0.18-2 and (later) 3.0.20-1, depends libvlc5, recommends vlc-skins    libvlc5 3.0.18-2, later 3.0.20-1
#             vlc-skins 1.0 · gimp 2.10.34-1 depends gimp-data · gimp-data 2.10.34-1 (all)
#             nmap 7.93-1 (Section: net) · motd-banner 1.2, whose postinst writes /etc/motd-banner and names the
#             requester that the agent passes on · fast-net 2.0, which Conflicts with site-guard · site-guard 4.1, the
#             package that is to be protected (repo_root_install it first) · git 1:2.39.2-1.1 depends libpcre2-8-0
#             codec-tool 1.0 depends codec-pack, which only vendor has · broken-dep 1.0 depends no-such-library
#   vendor    zoom 5.16.2 depends libxcb-zoom · libxcb-zoom 1.15 · vlc 3.0.21-9 · codec-pack 9.0

repo_arch=$(dpkg --print-architecture)

repo_begin() {
    REPO_WORK=$1
    mkdir -p "$REPO_WORK/keys" "$REPO_WORK/build"
    chmod 0755 "$REPO_WORK" "$REPO_WORK/keys"
    repo_key repo
    REPO_KEY=$REPO_WORK/keys/repo.gpg
}

repo_gpg() {
    local home=$1
    shift
    GNUPGHOME=$home gpg --batch --quiet --no-tty --pinentry-mode loopback --passphrase '' "$@"
}

repo_key() {
    # Short and outside the work directory: the agent's socket has to fit into sun_path.
    local name=$1 home
    home=$(mktemp -d /tmp/repokey.XXXXXX)
    echo "$home" >"$REPO_WORK/keys/$name.home"
    repo_gpg "$home" --quick-generate-key "Throw-away $name <$name@repo.invalid>" ed25519 sign 7d 2>/dev/null
    repo_gpg "$home" --export >"$REPO_WORK/keys/$name.gpg"
    chmod 0644 "$REPO_WORK/keys/$name.gpg"
}

repo_deb() {
    local repo=$1 name=$2 version=$3 tree item arch=$repo_arch section=misc priority=optional rest path script
    shift 3
    tree=$(mktemp -d "$REPO_WORK/build/deb.XXXXXX")
    chmod 0755 "$tree"
    mkdir -p "$tree/DEBIAN" "$tree/usr/share/doc/$name" "$repo/pool"
    echo "$version" >"$tree/usr/share/doc/$name/version"
    for item in "$@"; do
        case $item in
        "Architecture: "*) arch=${item#Architecture: } ;;
        "Section: "*) section=${item#Section: } ;;
        "Priority: "*) priority=${item#Priority: } ;;
        @file=*)
            rest=${item#@file=}
            path=${rest%%=*}
            mkdir -p "$tree$(dirname "$path")"
            printf '%s\n' "${rest#*=}" >"$tree$path"
            case $path in */bin/* | */sbin/*) chmod 0755 "$tree$path" ;; esac
            ;;
        @*)
            script=${item%%=*}
            printf '#!/bin/sh\nset -e\n%s\n' "${item#*=}" >"$tree/DEBIAN/${script#@}"
            chmod 0755 "$tree/DEBIAN/${script#@}"
            ;;
        esac
    done
    {
        echo "Package: $name"
        echo "Version: $version"
        echo "Architecture: $arch"
        echo "Section: $section"
        echo "Priority: $priority"
        echo "Maintainer: Throw-away <repo@repo.invalid>"
        for item in "$@"; do
            case $item in @* | "Architecture: "* | "Section: "* | "Priority: "*) ;; *) echo "$item" ;; esac
        done
        echo "Description: sample package $name"
    } >"$tree/DEBIAN/control"
    REPO_DEB=$repo/pool/${name}_${version#*:}_$arch.deb
    dpkg-deb --root-owner-group --build -Znone "$tree" "$REPO_DEB" >/dev/null
    rm -rf "$tree"
}

repo_publish() {
    local repo=$1 suite=stable component=main key=repo label sign=1 home
    shift
    label=$(basename "$repo")
    while [ $# -gt 0 ]; do
        case $1 in
        --suite) suite=$2 && shift ;;
        --component) component=$2 && shift ;;
        --key) key=$2 && shift ;;
        --label) label=$2 && shift ;;
        --unsigned) sign=0 ;;
        *) echo "repo_publish: unknown option $1" >&2 && return 2 ;;
        esac
        shift
    done
    mkdir -p "$repo/dists/$suite/$component/binary-$repo_arch"
    (
        cd "$repo"
        apt-ftparchive --arch "$repo_arch" packages pool >"dists/$suite/$component/binary-$repo_arch/Packages"
        gzip -9nkf "dists/$suite/$component/binary-$repo_arch/Packages"
        rm -f "dists/$suite/Release" "dists/$suite/InRelease" "dists/$suite/Release.gpg"
        apt-ftparchive -o "APT::FTPArchive::Release::Origin=$label" -o "APT::FTPArchive::Release::Label=$label" \
            -o "APT::FTPArchive::Release::Suite=$suite" -o "APT::FTPArchive::Release::Codename=$suite" \
            -o "APT::FTPArchive::Release::Components=$component" \
            -o "APT::FTPArchive::Release::Architectures=$repo_arch" release "dists/$suite" >"$REPO_WORK/build/Release"
        cp "$REPO_WORK/build/Release" "dists/$suite/Release"
        if [ "$sign" = 1 ]; then
            home=$(cat "$REPO_WORK/keys/$key.home")
            repo_gpg "$home" --clearsign -o "dists/$suite/InRelease" "dists/$suite/Release"
            repo_gpg "$home" --armor --detach-sign -o "dists/$suite/Release.gpg" "dists/$suite/Release"
        fi
    )
    chmod -R u=rwX,go=rX "$repo"
}

repo_source_line() {
    echo "deb [signed-by=$REPO_KEY] file:$1 stable main"
}

# Copies a program and the shared libraries that the dynamic linker lists for it to the same places below the root.
repo_root_program() {
    local root=$1 program=$2 file
    for file in "$program" $(ldd "$program" 2>/dev/null | grep -o '/[^ )]*' || true); do
        [ -e "$root$file" ] && continue
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
}

repo_root() {
    local root=$1 dir tool
    mkdir -p "$root"
    chmod 0755 "$root"
    for dir in bin sbin lib lib64; do # merged, as Debian 12 is
        mkdir -p "$root/usr/$dir"
        [ -e "$root/$dir" ] || ln -s "usr/$dir" "$root/$dir"
    done
    mkdir -p "$root"/{etc,tmp,dev,run,var/log/apt,var/lib/apt} "$root"/var/lib/dpkg/{info,updates,triggers,alternatives}
    chmod 1777 "$root/tmp"
    : >>"$root/var/lib/dpkg/status"
    : >>"$root/var/lib/dpkg/available"
    # A container may not make device nodes; an ordinary file swallows output as well.
    [ -e "$root/dev/null" ] || mknod -m 0666 "$root/dev/null" c 1 3 2>/dev/null || : >"$root/dev/null"
    echo "root:x:0:0:root:/root:/bin/sh" >"$root/etc/passwd"
    echo "root:x:0:" >"$root/etc/group"
    repo_root_program "$root" /bin/sh
    for tool in cat chmod cp env id ln ls mkdir mv rm sleep touch; do
        repo_root_program "$root" "/bin/$tool"
    done
}

repo_root_install() {
    local root=$1
    shift
    dpkg --root="$root" --log="$root/var/log/dpkg.log" --install "$@" >"$REPO_WORK/build/dpkg.log" 2>&1 || {
        cat "$REPO_WORK/build/dpkg.log" >&2
        return 1
    }
}

repo_root_version() {
    local answer
    answer=$(dpkg-query --admindir="$1/var/lib/dpkg" -W -f '${db:Status-Status} ${Version}' "$2" 2>/dev/null) || return 1
    [ "${answer%% *}" = installed ] && echo "${answer#* }"
}

repo_sample() {
    local dir=$1 internal=$1/internal vendor=$1/vendor
    mkdir -p "$dir"
    repo_deb "$internal" libvlc5 3.0.18-2 "Section: libs"
    repo_deb "$internal" vlc 3.0.18-2 "Section: video" "Depends: libvlc5 (>= 3.0.18-2)" "Recommends: vlc-skins" \
        "@file=/usr/bin/vlc=#!/bin/sh"
    repo_deb "$internal" vlc-skins 1.0 "Architecture: all"
    repo_deb "$internal" gimp-data 2.10.34-1 "Architecture: all"
    repo_deb "$internal" gimp 2.10.34-1 "Depends: gimp-data (= 2.10.34-1)"
    repo_deb "$internal" libpcre2-8-0 10.42-1 "Section: libs"
    repo_deb "$internal" git 1:2.39.2-1.1 "Section: vcs" "Depends: libpcre2-8-0"
    repo_deb "$internal" nmap 7.93-1 "Section: net"
    # The script shows that it runs as root, inside the root, with the requester that the agent verified.
    repo_deb "$internal" motd-banner 1.2 \
        "@postinst=mkdir -p /etc && echo \"\$(id -u) \${PROVISO_USER:-nobody-told} \${PROVISO_UID:--}\" >/etc/motd-banner" \
        "@postrm=rm -f /etc/motd-banner"
    repo_deb "$internal" site-guard 4.1 "Section: admin"
    repo_deb "$internal" fast-net 2.0 "Section: net" "Conflicts: site-guard"
    repo_deb "$internal" codec-tool 1.0 "Depends: codec-pack"
    repo_deb "$internal" broken-dep 1.0 "Depends: no-such-library (>= 2)"
    repo_publish "$internal"
    repo_deb "$vendor" libxcb-zoom 1.15 "Section: libs"
    repo_deb "$vendor" zoom 5.16.2 "Depends: libxcb-zoom"
    repo_deb "$vendor" vlc 3.0.21-9 "Section: video"
    repo_deb "$vendor" codec-pack 9.0
    repo_publish "$vendor"
}

repo_sample_update() {
    local internal=$1/internal
    repo_deb "$internal" libvlc5 3.0.20-1 "Section: libs"
    repo_deb "$internal" vlc 3.0.20-1 "Section: video" "Depends: libvlc5 (>= 3.0.20-1)" "Recommends: vlc-skins" \
        "@file=/usr/bin/vlc=#!/bin/sh"
    repo_publish "$internal"
}

repo_end() {
    local file home
    [ -n "${REPO_WORK-}" ] || return 0
    for file in "$REPO_WORK"/keys/*.home; do
        [ -e "$file" ] || continue
        home=$(cat "$file")
        GNUPGHOME=$home gpgconf --kill all 2>/dev/null || true
        case $home in /tmp/repokey.*) rm -rf "$home" ;; esac
    done
    rm -rf "$REPO_WORK"
    REPO_WORK=
}
