// A figure keeps its description in the notebook: utils.plots.show writes it there. JupyterLab
// draws the figure without it. This part of JupyterLab, read as it stands and not built, takes the
// usual way of drawing and adds the description, so that a screen reader says it.
(() => {
  const NAME = "figure-descriptions";
  const TYPE = "image/png";
  let shared;

  // What JupyterLab itself has loaded, under a name; there is one version of it.
  const loaded = async name => (await Object.values(shared[name])[0].get())();

  const described = usual => ({
    ...usual,
    mimeTypes: [TYPE],
    createRenderer: options => {
      const renderer = usual.createRenderer(options);
      const draw = renderer.renderModel.bind(renderer);
      renderer.renderModel = async model => {
        await draw(model);
        const image = renderer.node.querySelector("img");
        const words = (model.metadata[TYPE] || {}).alt;
        if (image && words) {
          image.alt = words;
        }
      };
      return renderer;
    }
  });

  const extension = async () => {
    const { IRenderMimeRegistry } = await loaded("@jupyterlab/rendermime");
    const plugin = {
      id: `${NAME}:plugin`,
      autoStart: true,
      requires: [IRenderMimeRegistry],
      activate: (app, registry) => registry.addFactory(described(registry.getFactory(TYPE)))
    };
    return () => ({ __esModule: true, default: plugin });
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[NAME] = { init: scope => void (shared = scope), get: extension };
})();
