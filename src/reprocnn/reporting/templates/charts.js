const data = id => JSON.parse(document.getElementById(id).textContent);

// Charts, in the colours of the page, and again when these change.
const charts = data("charts-data");
const draw = () => {
  const style = getComputedStyle(document.documentElement);
  const colour = name => style.getPropertyValue(`--${name}`).trim();
  const [text, soft, line] = ["text", "soft", "line"].map(colour);
  const category = ["first", "second", "third", "fourth", "fifth", "sixth"].map(colour);
  const [first] = category;
  const config = {
    background: null, font: "system-ui, sans-serif", view: { stroke: null },
    axis: { labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line,
            labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 },
    legend: { labelColor: text, titleColor: soft, labelFontSize: 13 },
    text: { color: text }, rule: { color: soft }, line: { color: first }, bar: { color: first }, point: { color: first },
    range: { category },
  };
  for (const place of document.querySelectorAll("[data-chart]"))
    vegaEmbed(place, charts[place.dataset.chart], { config, renderer: "svg", actions: false, ast: false });
};
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
