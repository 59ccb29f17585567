package org.elasticsearch.plugins;

import java.util.ArrayList;
import java.util.List;
import org.elasticsearch.env.Environment;

/** Loads the plugins it is given from the class path, not from folders. In this package for {@code loadPlugin} and its like. */
public final class NamedPlugins extends PluginsService {

    private List<LoadedPlugin> given; // null while the parent's constructor runs

    public NamedPlugins(Environment environment, PluginsLoader loader, List<Class<? extends Plugin>> classes) {
        super(environment.settings(), environment.configDir(), loader);
        List<LoadedPlugin> loaded = new ArrayList<>();
        for (Class<? extends Plugin> each : classes) {
            Plugin plugin = loadPlugin(each, environment.settings(), environment.configDir());
            loaded.add(new LoadedPlugin(describe(each), plugin, each.getClassLoader()));
        }
        given = loaded;
        loadExtensions(given);
    }

    private static PluginDescriptor describe(Class<? extends Plugin> plugin) {
        String name = plugin.getSimpleName();
        return new PluginDescriptor(
            name, "from the class path", "1", null, "17", plugin.getName(), null, List.of(), false, false, false, false
        );
    }

    @Override
    protected List<LoadedPlugin> plugins() {
        return given == null ? List.of() : given;
    }
}
