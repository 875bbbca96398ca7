#!/bin/sh
# Unpacks programs of Debian into a folder, as any user: nothing of the system changes, and no server is started.
# usage: debian.sh FOLDER PACKAGE... ; the programs are in FOLDER/bin afterwards
set -eu
folder=$1
shift
rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/apt/lists/partial" "$folder/apt/archives/partial"
fetch() {
    apt-get -qq -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Dir::State::lists="$folder/apt/lists" \
        -o Dir::Cache="$folder/apt" -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$@"
}
fetch update
# Libraries come with it unless the system has them; so does a program that has been installed meanwhile.
fetch --yes --no-install-recommends --download-only install "$@"
for archive in "$folder"/apt/archives/*.deb; do
    dpkg -x "$archive" "$folder/root"
done
rm -r "$folder/apt"
for program in "$folder"/root/usr/bin/*; do
    cat > "$folder/bin/${program##*/}" <<END
#!/bin/sh
LD_LIBRARY_PATH=\$(echo "$folder"/root/usr/lib/*-linux-gnu) exec "$program" "\$@"
END
    chmod +x "$folder/bin/${program##*/}"
done
