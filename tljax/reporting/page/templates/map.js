// The library of the map lies compressed in the page, and is unpacked when the map is asked for.
const button = document.getElementById("open-map");
async function openMap() {
  button.disabled = true;
  button.textContent = "Opening ...";
  try {
    const packed = Uint8Array.from(atob(document.getElementById("map-library").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.body.append(script);
    const map = document.getElementById("map");
    const figure = JSON.parse(document.getElementById("map-figure").textContent);
    map.hidden = false;
    const options = { responsive: true, displaylogo: false, toImageButtonOptions: { format: "png", filename: "map", scale: 2 } };
    await Plotly.newPlot(map, figure.data, figure.layout, options);
    for (const canvas of map.querySelectorAll("canvas")) canvas.setAttribute("aria-label", map.getAttribute("aria-label"));
    button.remove();
  } catch (error) {
    button.textContent = "This browser cannot open the map: " + error.message;
  }
}
button.addEventListener("click", openMap);
if (location.hash === "#map") openMap();
